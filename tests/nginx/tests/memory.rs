//! A million requests leave a worker as large as it was.

use nginx_tests::load::drive;
use nginx_tests::nginx::{Setup, resident};
use nginx_tests::place::Place;

const CONNECTIONS: u32 = 64;
const WARM_UP: u64 = 100_000;
const REQUESTS: u64 = 1_000_000;
/// What a worker may grow by: less than a byte and a half a request.
const SLACK: u64 = 1 << 20;

#[test]
#[ignore = "cargo xtask nginx"]
fn a_million_requests_leave_nothing_behind() {
    let place = Place::new();
    let key = place.key(&["--limit", "1000"]);
    let token = place.session("ada", &[]);
    std::fs::write(place.path("file"), "x").expect("a file");
    let nginx = Setup::new(
        "tokenkit on; root .;
         location /moved { try_files /none /file; }",
    )
    .start(&place);
    let [worker] = nginx.workers()[..] else {
        panic!("one worker was wanted: {:?}", nginx.workers());
    };
    let head = format!(
        "api-key: {}\r\nauthorization: Bearer {token}\r\norigin: https://a.test\r\n",
        key.secret
    );
    let load = |requests| {
        let refused = drive(nginx.port, "/file", "", CONNECTIONS, requests / 2);
        assert_eq!(
            (refused.other, refused.broken),
            (requests / 2, 0),
            "{refused:?}"
        );
        let mixed = drive(nginx.port, "/moved", &head, CONNECTIONS, requests / 2);
        assert_eq!((mixed.other, mixed.broken), (0, 0), "{mixed:?}");
    };
    load(WARM_UP);
    let before = resident(worker).expect("the worker lives");
    load(REQUESTS);
    let after = resident(worker).expect("the worker lives");
    assert_eq!(nginx.workers(), [worker], "the worker is another");
    assert!(after <= before + SLACK, "{before} bytes grew to {after}");
    eprintln!("resident before {before}, after {REQUESTS} requests {after} bytes");
}
