//! How the tour starts programs: inside a namespace, as a user that owns nothing else, ended with the tour.
//!
//! Refuses to leave anything behind: the kernel kills each program when the tour dies, whatever the reason.

use std::path::Path;
use std::process::Command;

/// Whom a program runs as: numeric user and group ids.
#[derive(Debug, Clone, Copy)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// Root, for what has to make sandboxes.
pub const ROOT: User = User { uid: 0, gid: 0 };
/// The console's own user.
pub const CONSOLE: User = User {
    uid: 64_101,
    gid: 64_101,
};
/// The gateways' own user; its group may open the supervisor's socket.
pub const GATEWAY: User = User {
    uid: 64_102,
    gid: 64_102,
};

/// A command in `namespace` as `user`; it ends when the tour does.
pub fn command(namespace: &str, user: User, program: &Path) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace, "setpriv", "--pdeathsig", "KILL"]);
    if user.uid != 0 {
        command.args([
            "--reuid",
            &user.uid.to_string(),
            "--regid",
            &user.gid.to_string(),
            "--clear-groups",
            "--no-new-privs",
        ]);
    }
    command.arg("--").arg(program);
    command
}
