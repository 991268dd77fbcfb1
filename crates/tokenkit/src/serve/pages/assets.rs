//! The style sheet, the script and the icon, each under a name that changes
//! with what it holds, so that browsers keep it for ever.

use std::sync::LazyLock;

use axum::Router;
use axum::body::Body;
use axum::extract::RawQuery;
use axum::response::Response;
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};

use crate::serve::control::Control;

/// One that is served.
struct Asset {
    path: &'static str,
    media_type: &'static str,
    text: &'static str,
    address: LazyLock<String>,
}

static STYLE: Asset = Asset {
    path: "/ui/app.css",
    media_type: "text/css; charset=utf-8",
    text: include_str!("assets/app.css"),
    address: LazyLock::new(|| STYLE.make_address()),
};

static SCRIPT: Asset = Asset {
    path: "/ui/app.js",
    media_type: "text/javascript; charset=utf-8",
    text: include_str!("assets/app.js"),
    address: LazyLock::new(|| SCRIPT.make_address()),
};

static ICON: Asset = Asset {
    path: "/ui/icon.svg",
    media_type: "image/svg+xml",
    text: include_str!("assets/icon.svg"),
    address: LazyLock::new(|| ICON.make_address()),
};

impl Asset {
    fn make_address(&self) -> String {
        // FNV-1a: to tell versions apart, not to protect anything.
        let hash = self.text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        format!("{}?v={hash:016x}", self.path)
    }

    fn answer(&'static self, query: Option<&str>) -> Response {
        let mut answer = Response::new(Body::from(self.text));
        let is_current = self.address.split_once('?').map(|(_, query)| query) == query;
        let keep = match is_current {
            true => "public, max-age=31536000, immutable",
            false => "no-cache",
        };
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(keep));
        answer
    }
}

pub(super) fn style() -> &'static str {
    &STYLE.address
}

pub(super) fn script() -> &'static str {
    &SCRIPT.address
}

pub(super) fn icon() -> &'static str {
    &ICON.address
}

/// They are the same for everybody, and the page where one signs in needs them.
pub(super) fn router() -> Router<Control> {
    [&STYLE, &SCRIPT, &ICON]
        .into_iter()
        .fold(Router::new(), |router, asset| {
            let answer = async move |RawQuery(query): RawQuery| asset.answer(query.as_deref());
            router.route(asset.path, get(answer))
        })
}
