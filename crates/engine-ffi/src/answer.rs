//! Answers over HTTP, rendered into the caller's space by `engine::wire`, so
//! that every gateway answers alike.

use std::ffi::{CStr, c_char};
use std::mem::MaybeUninit;

use engine::wire::{
    self, KEY_HEADER, PROBLEM_JSON, PROJECT_HEADER, Told, USER_HEADER, is_reserved_header,
};
use engine::{Budget, ProjectId, Reason};

use crate::bytes::tk_bytes;
use crate::decision::tk_decision;
use crate::engine_handle::Instance;
use crate::guard;
use crate::handle::{self, tk_engine};
use crate::ptr::Caller;
use crate::result::tk_result::{TK_ERR_NULL, TK_ERR_SPACE};
use crate::result::{Refusal, tk_result};

/// The most headers of one `tk_answer`.
pub const TK_MAX_HEADERS: usize = 16;
/// Space in which every answer finds room but that to a preflight whose method
/// or origin is longer than a kilobyte.
pub const TK_SPACE: usize = 4096;

/// A text that the library hands out, with a NUL behind it; `data` is never
/// NULL.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tk_str {
    /// Where it begins.
    pub data: *const c_char,
    /// Its length without the NUL.
    pub len: usize,
}

/// One header.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tk_header {
    /// Its name, in lower case.
    pub name: tk_str,
    /// Its value, which has no line break in it.
    pub value: tk_str,
}

/// An answer, or the headers of one. Its texts lie in the `space` that was
/// given and last as long as that; those of a 503 for a call that failed are the
/// library's.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tk_answer {
    /// The HTTP status; 503 where the call failed.
    pub status: u32,
    /// How many headers there are.
    pub header_count: u32,
    /// The headers, each name once; `Content-Type` and `Content-Length` are not
    /// among them.
    pub headers: [tk_header; TK_MAX_HEADERS],
    /// The media type of the body; empty where there is no body.
    pub content_type: tk_str,
    /// The body, not to be sent to a HEAD; empty where there is none.
    pub body: tk_str,
}

impl tk_str {
    const fn of(text: &'static CStr) -> Self {
        Self {
            data: text.as_ptr(),
            len: text.count_bytes(),
        }
    }

    const EMPTY: Self = Self::of(c"");
}

impl tk_answer {
    const EMPTY: Self = Self {
        status: 0,
        header_count: 0,
        headers: [tk_header {
            name: tk_str::EMPTY,
            value: tk_str::EMPTY,
        }; TK_MAX_HEADERS],
        content_type: tk_str::EMPTY,
        body: tk_str::EMPTY,
    };

    /// What is answered where nothing could be decided or rendered.
    const UNUSABLE: Self = {
        let mut answer = Self::EMPTY;
        answer.status = 503;
        answer.header_count = 2;
        answer.headers[0] = tk_header {
            name: tk_str::of(c"vary"),
            value: tk_str::of(c"Origin"),
        };
        answer.headers[1] = tk_header {
            name: tk_str::of(c"cache-control"),
            value: tk_str::of(c"no-store"),
        };
        answer.content_type = tk_str::of(c"application/problem+json");
        answer.body = tk_str::of(
            c"{\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503,\
              \"detail\":\"The api-key cannot be checked at the moment.\",\
              \"reason\":\"unusable\"}",
        );
        answer
    };
}

/// An answer under way, and the space that its values go to.
pub(crate) struct Page<'a> {
    answer: tk_answer,
    left: &'a mut [MaybeUninit<u8>],
    given: usize,
    /// Bytes that all of it takes.
    wanted: usize,
}

impl<'a> Page<'a> {
    pub(crate) fn new(status: u16, space: &'a mut [MaybeUninit<u8>]) -> Self {
        Self {
            answer: tk_answer {
                status: status.into(),
                ..tk_answer::EMPTY
            },
            given: space.len(),
            left: space,
            wanted: 0,
        }
    }

    /// Copies a text into the space, with a NUL behind it.
    pub(crate) fn keep(&mut self, text: &[u8]) -> tk_str {
        let wanted = text.len() + 1;
        self.wanted += wanted;
        let all = std::mem::take(&mut self.left);
        let Some((place, left)) = all.split_at_mut_checked(wanted) else {
            return tk_str::EMPTY;
        };
        self.left = left;
        let bytes = text.iter().chain(&[0]);
        for (place, &byte) in place.iter_mut().zip(bytes) {
            place.write(byte);
        }
        tk_str {
            data: place.as_ptr().cast(),
            len: text.len(),
        }
    }

    fn header(&mut self, name: &str, value: &[u8]) {
        let (name, value) = (self.keep(name.as_bytes()), self.keep(value));
        let at = self.answer.header_count as usize;
        // There are places for more than an answer ever has.
        if let Some(place) = self.answer.headers.get_mut(at) {
            *place = tk_header { name, value };
            self.answer.header_count += 1;
        }
    }

    /// The answer, if all of it found room.
    pub(crate) fn done(self) -> Result<tk_answer, Refusal> {
        if self.wanted > self.given {
            return Err(Refusal::told(
                TK_ERR_SPACE,
                format!(
                    "space has {} bytes: this answer wants {}",
                    self.given, self.wanted
                ),
            ));
        }
        Ok(self.answer)
    }
}

/// What of a decision is told, read back from what C holds of it.
fn told(decision: &tk_decision, reason: Reason) -> Told {
    let budget = (decision.reset_s != 0).then_some(Budget {
        limit: decision.limit,
        remaining: decision.remaining,
        reset_s: decision.reset_s,
    });
    Told {
        reason,
        allow_origin: decision.allow_origin == 1,
        budget,
        retry_after_s: decision.retry_after_s,
    }
}

/// Runs the rendering of an answer, which is a 503 where it fails.
fn rendering(
    caller: Caller<'_>,
    answer: *mut tk_answer,
    render: impl FnOnce() -> Result<tk_answer, Refusal>,
) -> tk_result {
    let result = guard::call(|| {
        let out = caller.out(answer, "answer")?;
        out.write(render()?);
        Ok(())
    });
    if result != tk_result::TK_OK {
        caller.write(answer, &tk_answer::UNUSABLE);
    }
    result
}

/// Renders a decision: of a refusal the whole answer; of an admitted request
/// the headers that are added to the answer of the service behind, with the
/// status 200 and no body. There `vary` and `access-control-expose-headers`
/// join what the service says, and every other name takes the place of its own.
///
/// `origin` is the `Origin` header as the client sent it, or nothing. Of a
/// decision that is none (`TK_REASON_UNUSABLE`, or never written) the answer is
/// a 503, whatever the engine is.
///
/// Ownership: `answer` and `space` are the caller's, and must not overlap with
/// anything else; `TK_SPACE` bytes suffice. Thread safety: any thread, also
/// while others decide.
/// Errors, with each of which `answer` is a 503 that may be sent as it is:
/// TK_ERR_ENGINE, TK_ERR_FORKED, TK_ERR_NULL, TK_ERR_MISALIGNED, TK_ERR_LENGTH;
/// TK_ERR_SPACE where `space` is too small.
///
/// # Safety
///
/// As `tk_engine_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tk_render(
    engine: *const tk_engine,
    decision: *const tk_decision,
    origin: tk_bytes,
    space: *mut c_char,
    space_len: usize,
    answer: *mut tk_answer,
) -> tk_result {
    // SAFETY: promised by this function's own caller.
    let caller = unsafe { Caller::trusted() };
    rendering(caller, answer, || {
        let decision = caller.fixed(decision, "decision")?;
        let Some(reason) = decision.known_reason() else {
            return Ok(tk_answer::UNUSABLE);
        };
        let origin = caller.bytes(origin, "origin")?;
        let mut page = Page::new(
            reason.status(),
            caller.space(space.cast(), space_len, "space")?,
        );
        handle::with(engine, |instance| {
            let told = told(decision, reason);
            instance
                .wire
                .headers_told(&told, origin, decision.unix_s, |name, value| {
                    page.header(name, value);
                });
            Ok(())
        })?;
        if let Some(body) = wire::problem(reason) {
            page.answer.content_type = page.keep(PROBLEM_JSON.as_bytes());
            page.answer.body = page.keep(body.as_bytes());
        }
        page.done()
    })
}

/// The answer to a preflight: a request whose method is OPTIONS and which has
/// an `Origin` and an `Access-Control-Request-Method`. It carries no key, is
/// never decided about or handed on, and is answered with 204 and no body.
/// `origin`, `method` and `request_headers` are the values of those headers and
/// of `Access-Control-Request-Headers`, which may be nothing.
///
/// Ownership, thread safety: as `tk_render`; it takes a lock that changes to
/// the keys hold for moments, and allocates.
/// Errors, with each of which `answer` is a 503: as `tk_render`; TK_ERR_NULL
/// also where there is no origin or no method.
///
/// # Safety
///
/// As `tk_engine_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tk_preflight(
    engine: *const tk_engine,
    origin: tk_bytes,
    method: tk_bytes,
    request_headers: tk_bytes,
    space: *mut c_char,
    space_len: usize,
    answer: *mut tk_answer,
) -> tk_result {
    // SAFETY: promised by this function's own caller.
    let caller = unsafe { Caller::trusted() };
    rendering(caller, answer, || {
        let given = |bytes, what| {
            caller
                .bytes(bytes, what)?
                .ok_or_else(|| Refusal::told(TK_ERR_NULL, format!("{what} is NULL")))
        };
        let (origin, method) = (given(origin, "origin")?, given(method, "method")?);
        let asked = caller.bytes(request_headers, "request_headers")?;
        let mut page = Page::new(204, caller.space(space.cast(), space_len, "space")?);
        handle::with(engine, |instance| {
            let engine = &instance.engine;
            let listed = engine.lists_origin(origin, engine.clock().now());
            let age = instance.preflight_max_age_s;
            instance
                .wire
                .preflight(listed, origin, method, asked, age, |name, value| {
                    page.header(name, value);
                });
            Ok(())
        })?;
        page.done()
    })
}

/// The headers that tell the service behind who asks: `x-tokenkit-key`,
/// `x-tokenkit-project` and, where there is one, `x-tokenkit-user`. Of a
/// request that was not admitted there are none. What the client sent under
/// such names must go first: see `tk_header_is_reserved`.
///
/// Ownership, thread safety, errors: as `tk_render`; only `header_count` and
/// `headers` matter.
///
/// # Safety
///
/// As `tk_engine_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tk_identity(
    engine: *const tk_engine,
    decision: *const tk_decision,
    space: *mut c_char,
    space_len: usize,
    answer: *mut tk_answer,
) -> tk_result {
    // SAFETY: promised by this function's own caller.
    let caller = unsafe { Caller::trusted() };
    rendering(caller, answer, || {
        let decision = caller.fixed(decision, "decision")?;
        let Some(reason) = decision.known_reason() else {
            return Ok(tk_answer {
                header_count: 0,
                ..tk_answer::UNUSABLE
            });
        };
        let mut page = Page::new(
            reason.status(),
            caller.space(space.cast(), space_len, "space")?,
        );
        handle::with(engine, |instance| {
            if reason == Reason::Allowed {
                if let Some(key) = decision.shown_id() {
                    page.header(KEY_HEADER, &key.to_chars());
                }
                let project = project(instance, decision);
                if !project.is_empty() {
                    page.header(PROJECT_HEADER, project.as_bytes());
                }
                if let Some(user) = decision.shown_user() {
                    page.header(USER_HEADER, user.as_str().as_bytes());
                }
            }
            Ok(())
        })?;
        page.done()
    })
}

/// Whether a header of this name must be taken out of what a client sent,
/// before the request goes to the service behind: 1 for the identity headers
/// and the `api-key` itself, in every spelling that some services cannot tell
/// from theirs, such as `X_Tokenkit_User`; else 0. What cannot be looked at
/// counts as reserved.
///
/// Thread safety: any thread. Errors: none.
///
/// # Safety
///
/// As `tk_engine_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tk_header_is_reserved(name: tk_bytes) -> u8 {
    let mut reserved = true;
    guard::call(|| {
        // SAFETY: promised by this function's own caller.
        let caller = unsafe { Caller::trusted() };
        let name = caller.bytes(name, "name")?;
        reserved = name.is_none_or(is_reserved_header);
        Ok(())
    });
    reserved.into()
}

/// Writes the project of a decision to `project`, for logs: the name lies in
/// `space`, of which 65 bytes suffice. Empty where no key is known.
///
/// Ownership: as `tk_render`. Thread safety: any thread.
/// Errors, with each of which `project` stays as it was: TK_ERR_ENGINE,
/// TK_ERR_FORKED, TK_ERR_NULL, TK_ERR_MISALIGNED, TK_ERR_LENGTH, TK_ERR_SPACE.
///
/// # Safety
///
/// As `tk_engine_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tk_project(
    engine: *const tk_engine,
    decision: *const tk_decision,
    space: *mut c_char,
    space_len: usize,
    project: *mut tk_str,
) -> tk_result {
    guard::call(|| {
        // SAFETY: promised by this function's own caller.
        let caller = unsafe { Caller::trusted() };
        let out = caller.out(project, "project")?;
        let decision = caller.fixed(decision, "decision")?;
        let mut page = Page::new(0, caller.space(space.cast(), space_len, "space")?);
        let name = handle::with(engine, |instance| {
            Ok(page.keep(self::project(instance, decision).as_bytes()))
        })?;
        page.done()?;
        out.write(name);
        Ok(())
    })
}

/// The name of a decision's project; empty where there is none.
fn project<'i>(instance: &'i Instance, decision: &tk_decision) -> &'i str {
    match decision.project.checked_sub(1) {
        Some(number) => instance.engine.project(ProjectId::from_bits(number)),
        None => "",
    }
}
