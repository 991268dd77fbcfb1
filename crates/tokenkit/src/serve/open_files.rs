//! How many files the system lets this process open, and how many client
//! connections fit into that.
//!
//! Where files run out, everything fails that wants one, the connections to the
//! service behind first. So the server takes no more client connections than
//! there is room for, and the others wait in the system's queue.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::settings::Server;

/// What is open beside connections: the store, the log, and of each thread its
/// poll and its share of the listener.
const OF_A_THREAD: u64 = 8;
const BESIDE: u64 = 64;

/// Raises the limit of this process to what it may have, and returns the number
/// of client connections that may be open at the same time.
pub(super) fn max_connections(server: &Server, threads: usize) -> usize {
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
    let room = room(limit, threads, server.upstream.is_some());
    if room >= server.max_connections {
        return server.max_connections;
    }
    tracing::warn!(
        max_connections = room,
        open_files = limit,
        "the limit of open files (ulimit -n) has no room for server.max_connections = {}: more \
         clients than this wait",
        server.max_connections
    );
    room
}

/// The client connections for which there is room under a limit of files; none
/// is no limit. Each may want another to the service behind.
fn room(limit: Option<u64>, threads: usize, upstream: bool) -> usize {
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
        assert_eq!(room(Some(1024), 2, false), 1024 - 64 - 16);
        assert_eq!(room(Some(1024), 2, true), (1024 - 64 - 16) / 2);
        assert_eq!(room(None, 2, true), usize::MAX);
        // However little there is, somebody is served.
        assert_eq!(room(Some(10), 1024, true), 1);
    }
}
