//! How many files the system lets this process open, and how many connections
//! fit into that.
//!
//! Where files run out, everything fails that wants one, the connections to the
//! service behind first. So the server takes no more client connections than
//! there is room for, and the others wait in the system's queue. Nor does it have
//! more connections to the service behind: HTTP/2 has many requests on each of a
//! client's, and those that find no place wait for one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::settings::Server;

/// What is open beside connections: the store, the log, and of each thread its
/// poll and its share of the listener.
const OF_A_THREAD: u64 = 8;
const BESIDE: u64 = 64;

/// How many connections may be open at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    /// Of clients.
    pub(super) clients: usize,
    /// To the service behind.
    pub(super) upstream: usize,
}

/// Raises the limit of this process to what it may have, and returns the room
/// under it.
pub(super) fn make_room(server: &Server, threads: usize) -> Room {
    let limit = getrlimit(Resource::Nofile);
    let allowed = limit.maximum;
    if limit.current != allowed {
        let raised = Rlimit {
            current: allowed,
            ..limit
        };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::debug!(%error, "the limit of open files stays as it is");
        }
    }
    let limit = getrlimit(Resource::Nofile).current;
    let of_a_side = of_a_side(limit, threads, server.upstream.is_some());
    let room = Room {
        clients: server.max_connections.min(of_a_side),
        upstream: of_a_side,
    };
    if of_a_side >= server.max_connections {
        return room;
    }
    tracing::warn!(
        max_connections = of_a_side,
        open_files = limit,
        "the limit of open files (ulimit -n) has no room for server.max_connections = {}: more \
         clients than this wait",
        server.max_connections
    );
    room
}

/// The client connections for which there is room under a limit of files, and as
/// many to the service behind, if there is one; none is no limit.
fn of_a_side(limit: Option<u64>, threads: usize, upstream: bool) -> usize {
    let Some(limit) = limit else {
        return usize::MAX;
    };
    let threads = u64::try_from(threads).unwrap_or(u64::MAX);
    let free = limit.saturating_sub(BESIDE.saturating_add(threads.saturating_mul(OF_A_THREAD)));
    let each = if upstream { 2 } else { 1 };
    usize::try_from(free / each).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_both_sides() {
        assert_eq!(of_a_side(Some(1024), 2, false), 1024 - 64 - 16);
        assert_eq!(of_a_side(Some(1024), 2, true), (1024 - 64 - 16) / 2);
        assert_eq!(of_a_side(None, 2, true), usize::MAX);
        // However little there is, somebody is served.
        assert_eq!(of_a_side(Some(10), 1024, true), 1);
    }
}
