//! ID tokens (OpenID Connect Core, 3.1.3.7): a signed statement of who somebody is.
//!
//! Refuses unsigned tokens, algorithms that the key is not for, another issuer, another audience, another nonce, a token for
//! another access token, and one that is over or not yet. Invariant: the payload is read after its signature was checked.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use freehold_trust::digest::HashAlgorithm;
use freehold_trust::key::{KeyKind, PublicKey, Scheme};
use serde_json::Value;

use super::config::Outside;

/// Longest token: claims of groups make them long; bounds what is parsed.
const MAX_TOKEN: usize = 64 * 1024;
/// Seconds that clocks may differ.
const SKEW: i64 = 60;
/// Keys that are looked at.
const MAX_KEYS: usize = 32;

/// Why a token is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// Not three parts of base64url, or not JSON.
    #[error("the id token is malformed: {0}")]
    Malformed(&'static str),
    /// An algorithm that is not taken.
    #[error("the id token is signed by an algorithm that is not taken")]
    Algorithm,
    /// No key of the provider made the signature.
    #[error("the id token is not signed by the provider")]
    Signature,
    /// A claim is another one.
    #[error("the id token is for another `{0}`")]
    Other(&'static str),
    /// Over, or not yet.
    #[error("the id token's time is over, or has not come")]
    Time,
    /// It names nobody.
    #[error("the id token has no `{0}`")]
    Missing(String),
}

/// Who somebody is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdToken {
    /// Who says so.
    pub issuer: String,
    /// The provider's own, unchanging name of the person.
    pub subject: String,
    /// The name that accounts go by here.
    pub name: String,
}

/// The provider's keys.
#[derive(Debug, Clone, Default)]
pub struct Keys(Vec<(Option<String>, PublicKey, Scheme)>);

fn decoded(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

impl Keys {
    /// Reads a set of keys (RFC 7517); what cannot be used is left out.
    #[must_use]
    pub fn of(set: &Value) -> Self {
        let keys = set.get("keys").and_then(Value::as_array);
        let read = |key: &Value| {
            let text = |name: &str| key.get(name).and_then(Value::as_str);
            if text("use").is_some_and(|what| what != "sig") {
                return None;
            }
            let number = |name: &str| decoded(text(name)?);
            let (public, scheme) = match (text("kty")?, text("crv")) {
                ("RSA", _) => {
                    let exponent = number("e")?;
                    let exponent = exponent
                        .iter()
                        .try_fold(0_u32, |n, byte| Some(n.checked_mul(256)? | u32::from(*byte)))?;
                    let public = PublicKey::from_rsa(&number("n")?, exponent).ok()?;
                    (public, Scheme::RsaSsa(HashAlgorithm::Sha256))
                }
                ("EC", Some("P-256")) => {
                    let public = PublicKey::from_ec_point(KeyKind::P256, &number("x")?, &number("y")?).ok()?;
                    (public, Scheme::Ecdsa(HashAlgorithm::Sha256))
                }
                ("OKP", Some("Ed25519")) => (PublicKey::from_ed25519(&number("x")?).ok()?, Scheme::Ed25519),
                _ => return None,
            };
            Some((text("kid").map(str::to_owned), public, scheme))
        };
        Self(keys.into_iter().flatten().take(MAX_KEYS).filter_map(read).collect())
    }
}

/// What an ID token is held against.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The provider, and this console's name there.
    pub outside: &'a Outside,
    /// What was sent along.
    pub nonce: &'a str,
    /// The access token that came beside it.
    pub access_token: Option<&'a str>,
}

/// The left half of a token's hash, base64url: the hash is the one of the ID token's own signature (3.1.3.6).
fn half_hash(scheme: Scheme, token: &str) -> String {
    let hash = match scheme {
        Scheme::Ed25519 => HashAlgorithm::Sha512,
        _ => HashAlgorithm::Sha256,
    };
    let whole = hash.hash(token.as_bytes());
    let (half, _) = whole.split_at(whole.len() / 2);
    URL_SAFE_NO_PAD.encode(half)
}

/// Checks an ID token.
///
/// # Errors
/// [`TokenFault`]: form, algorithm, signature, then the claims.
pub fn verify_id_token(token: &str, keys: &Keys, expected: &Expected<'_>, now: i64) -> Result<IdToken, TokenFault> {
    let outside = expected.outside;
    let malformed = TokenFault::Malformed("parts");
    if token.len() > MAX_TOKEN {
        return Err(TokenFault::Malformed("too long"));
    }
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts.as_slice() else {
        return Err(malformed);
    };
    let signed = token.len().saturating_sub(signature.len()).saturating_sub(1);
    let signed = token.get(..signed).ok_or(malformed.clone())?;
    let json = |text: &str, what| {
        let bytes = decoded(text).ok_or(TokenFault::Malformed(what))?;
        serde_json::from_slice::<Value>(&bytes).map_err(|_| TokenFault::Malformed(what))
    };
    let head = json(header, "header")?;
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let scheme = match text(&head, "alg").as_deref() {
        Some("RS256") => Scheme::RsaSsa(HashAlgorithm::Sha256),
        Some("ES256") => Scheme::Ecdsa(HashAlgorithm::Sha256),
        Some("EdDSA") => Scheme::Ed25519,
        _ => return Err(TokenFault::Algorithm),
    };
    if head.get("crit").is_some() {
        return Err(TokenFault::Algorithm);
    }
    let signature = decoded(signature).ok_or(malformed)?;
    let kid = text(&head, "kid");
    let made_it = |key: &PublicKey| match scheme {
        Scheme::Ecdsa(_) => key.verify_p256_fixed(signed.as_bytes(), &signature).is_ok(),
        _ => key.verify(scheme, signed.as_bytes(), &signature).is_ok(),
    };
    let by_provider = keys.0.iter().any(|(known, key, of_key)| {
        *of_key == scheme && (kid.is_none() || known.is_none() || *known == kid) && made_it(key)
    });
    if !by_provider {
        return Err(TokenFault::Signature);
    }
    let claims = json(payload, "claims")?;
    if text(&claims, "iss").as_deref() != Some(outside.issuer.as_str()) {
        return Err(TokenFault::Other("issuer"));
    }
    let me = outside.client_id.as_str();
    let several = claims.get("aud").and_then(Value::as_array);
    let for_me = match several {
        Some(all) => all.iter().any(|one| one.as_str() == Some(me)),
        None => claims.get("aud").and_then(Value::as_str) == Some(me),
    };
    let party = text(&claims, "azp");
    let strange = party.as_deref().is_some_and(|party| party != me)
        || several.is_some_and(|all| all.len() > 1) && party.is_none();
    if !for_me || strange {
        return Err(TokenFault::Other("audience"));
    }
    if text(&claims, "nonce").as_deref() != Some(expected.nonce) {
        return Err(TokenFault::Other("nonce"));
    }
    if let Some(said) = claims.get("at_hash")
        && said.as_str() != expected.access_token.map(|token| half_hash(scheme, token)).as_deref()
    {
        return Err(TokenFault::Other("access token"));
    }
    let number = |name: &str| {
        let value = claims.get(name)?;
        // Some providers write times as floats.
        value.as_i64().or_else(|| value.as_f64().map(|time| time as i64))
    };
    let begun = number("nbf").is_none_or(|from| from <= now.saturating_add(SKEW))
        && number("iat").is_some_and(|made| made <= now.saturating_add(SKEW));
    if !begun || number("exp").is_none_or(|until| until < now.saturating_sub(SKEW)) {
        return Err(TokenFault::Time);
    }
    let need = |name: &str| {
        let found = text(&claims, name).filter(|text| !text.is_empty() && text.len() <= 255);
        found.ok_or_else(|| TokenFault::Missing(name.to_owned()))
    };
    let name = need(&outside.name_claim)?;
    // An address that nobody has verified is whatever its owner typed.
    if outside.name_claim == "email" && claims.get("email_verified") != Some(&Value::Bool(true)) {
        return Err(TokenFault::Missing("email_verified".to_owned()));
    }
    Ok(IdToken {
        issuer: outside.issuer.clone(),
        subject: need("sub")?,
        name,
    })
}

#[cfg(test)]
mod tests {
    use freehold_trust::SigningKey;
    use rustls::RootCertStore;
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn outside() -> Outside {
        Outside {
            name: "directory".to_owned(),
            issuer: "https://idp.example".to_owned(),
            client_id: "freehold".to_owned(),
            name_claim: "preferred_username".to_owned(),
            client_secret: None,
            roots: RootCertStore::empty(),
        }
    }

    fn expected(outside: &Outside) -> Expected<'_> {
        Expected {
            outside,
            nonce: "n",
            access_token: None,
        }
    }

    fn part(value: &Value) -> String {
        URL_SAFE_NO_PAD.encode(value.to_string())
    }

    fn token(key: &SigningKey, head: &Value, claims: &Value) -> String {
        let signed = format!("{}.{}", part(head), part(claims));
        let signature = match key.sign_p256_fixed(signed.as_bytes()) {
            Some(fixed) => fixed.to_vec(),
            None => key.sign(signed.as_bytes()),
        };
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn jwk(key: &SigningKey, kid: &str) -> Value {
        match key.public().ec_point() {
            Some((x, y)) => json!({"kty": "EC", "crv": "P-256", "kid": kid, "use": "sig",
                "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y)}),
            None => {
                let spki = key.public().spki_der();
                json!({"kty": "OKP", "crv": "Ed25519", "kid": kid,
                    "x": URL_SAFE_NO_PAD.encode(&spki[spki.len() - 32..])})
            }
        }
    }

    fn claims() -> Value {
        json!({"iss": "https://idp.example", "aud": "freehold", "sub": "248289761001", "nonce": "n", "iat": NOW, "exp": NOW + 300,
            "preferred_username": "ann"})
    }

    fn judge(change: impl FnOnce(&mut Value, &mut Value)) -> Result<IdToken, TokenFault> {
        let key = SigningKey::generate(KeyKind::P256).unwrap();
        let keys = Keys::of(&json!({"keys": [jwk(&key, "one"), {"kty": "oct", "k": "AAAA"}]}));
        let (mut head, mut said) = (json!({"alg": "ES256", "kid": "one"}), claims());
        change(&mut head, &mut said);
        verify_id_token(&token(&key, &head, &said), &keys, &expected(&outside()), NOW)
    }

    #[test]
    fn a_token_of_the_provider_names_its_person() {
        let named = IdToken {
            issuer: "https://idp.example".to_owned(),
            subject: "248289761001".to_owned(),
            name: "ann".to_owned(),
        };
        assert_eq!(judge(|_, _| {}), Ok(named.clone()));
        assert_eq!(judge(|_, said| said["aud"] = json!(["freehold"])), Ok(named.clone()));
        let key = SigningKey::generate(KeyKind::Ed25519).unwrap();
        let keys = Keys::of(&json!({"keys": [jwk(&key, "two")]}));
        let token = token(&key, &json!({"alg": "EdDSA"}), &claims());
        assert_eq!(verify_id_token(&token, &keys, &expected(&outside()), NOW), Ok(named));
    }

    /// The example of OpenID Connect Core, A.3; RS256 and ES256 hash alike.
    #[test]
    fn an_id_token_is_for_the_access_token_that_came_with_it() {
        assert_eq!(
            half_hash(
                Scheme::Ecdsa(HashAlgorithm::Sha256),
                "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"
            ),
            "77QmUPtjPfzWtF2AnpK9RQ"
        );
        let key = SigningKey::generate(KeyKind::P256).unwrap();
        let keys = Keys::of(&json!({"keys": [jwk(&key, "one")]}));
        let mut said = claims();
        said["at_hash"] = json!("77QmUPtjPfzWtF2AnpK9RQ");
        let token = token(&key, &json!({"alg": "ES256"}), &said);
        let outside = outside();
        let with = |access_token| {
            let expected = Expected {
                access_token,
                ..expected(&outside)
            };
            verify_id_token(&token, &keys, &expected, NOW)
        };
        assert!(with(Some("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y")).is_ok());
        assert_eq!(with(Some("another")), Err(TokenFault::Other("access token")));
        assert_eq!(with(None), Err(TokenFault::Other("access token")));
    }

    #[test]
    fn every_other_token_is_refused() {
        use TokenFault as F;
        assert_eq!(judge(|head, _| head["alg"] = json!("none")), Err(F::Algorithm));
        assert_eq!(judge(|head, _| head["alg"] = json!("HS256")), Err(F::Algorithm));
        assert_eq!(judge(|head, _| head["crit"] = json!(["x"])), Err(F::Algorithm));
        assert_eq!(judge(|head, _| head["alg"] = json!("RS256")), Err(F::Signature));
        assert_eq!(judge(|head, _| head["kid"] = json!("other")), Err(F::Signature));
        assert_eq!(
            judge(|_, said| said["iss"] = json!("https://evil.example")),
            Err(F::Other("issuer"))
        );
        assert_eq!(judge(|_, said| said["aud"] = json!("other")), Err(F::Other("audience")));
        assert_eq!(
            judge(|_, said| said["aud"] = json!(["freehold", "other"])),
            Err(F::Other("audience"))
        );
        assert_eq!(judge(|_, said| said["azp"] = json!("other")), Err(F::Other("audience")));
        assert_eq!(judge(|_, said| said["nonce"] = json!("m")), Err(F::Other("nonce")));
        assert_eq!(judge(|_, said| said["exp"] = json!(NOW - 61)), Err(F::Time));
        assert_eq!(judge(|_, said| said["iat"] = json!(NOW + 61)), Err(F::Time));
        assert_eq!(judge(|_, said| said["nbf"] = json!(NOW + 61)), Err(F::Time));
        assert_eq!(
            judge(|_, said| said["sub"] = json!("")),
            Err(F::Missing("sub".to_owned()))
        );
        let lacks = Err(F::Missing("preferred_username".to_owned()));
        assert_eq!(judge(|_, said| said["preferred_username"] = Value::Null), lacks);
        let mut by_mail = outside();
        "email".clone_into(&mut by_mail.name_claim);
        let key = SigningKey::generate(KeyKind::P256).unwrap();
        let keys = Keys::of(&json!({"keys": [jwk(&key, "one")]}));
        let mut said = claims();
        said["email"] = json!("ann@hospital.example");
        let unverified = token(&key, &json!({"alg": "ES256"}), &said);
        let fault = verify_id_token(&unverified, &keys, &expected(&by_mail), NOW);
        assert_eq!(fault, Err(F::Missing("email_verified".to_owned())));
        // Another key under the provider's name, a changed claim, and what is no token.
        let other = SigningKey::generate(KeyKind::P256).unwrap();
        let forged = token(&other, &json!({"alg": "ES256", "kid": "one"}), &claims());
        assert_eq!(
            verify_id_token(&forged, &keys, &expected(&outside()), NOW),
            Err(F::Signature)
        );
        let good = token(&key, &json!({"alg": "ES256"}), &claims());
        let (_, rest) = good.split_once('.').unwrap();
        let (_, signature) = rest.split_once('.').unwrap();
        let mut said = claims();
        said["preferred_username"] = json!("admin");
        let changed = format!("{}.{}.{signature}", part(&json!({"alg": "ES256"})), part(&said));
        assert_eq!(
            verify_id_token(&changed, &keys, &expected(&outside()), NOW),
            Err(F::Signature)
        );
        for nothing in ["", "a.b", "a.b.c.d", "!.!.!"] {
            assert!(verify_id_token(nothing, &keys, &expected(&outside()), NOW).is_err());
        }
    }
}
