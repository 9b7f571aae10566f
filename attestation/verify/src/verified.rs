//! The seal on a value that has been checked.
//!
//! Refuses to be made anywhere else: no public constructor, no `Deserialize`, no `DerefMut`. Forgetting to verify is
//! therefore a type error.

/// A value of type `T` that a function of this crate has verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    /// Seals `value`; to be called only at the end of a verification in this crate.
    #[allow(dead_code)]
    pub(crate) fn seal(value: T) -> Self {
        Self(value)
    }

    /// The verified value.
    pub fn get(&self) -> &T {
        &self.0
    }

    /// Gives up the seal and returns the plain value.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> std::ops::Deref for Verified<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}
