"""The engine from Python, through libtokenkit's C interface.

Of tokenkit.h this takes what a gateway needs. What the functions do stands
there; here, a failure is an exception, but for a decision that could not be
made: it denies, with the reason "unusable".
"""

import ctypes
import ctypes.util
import ipaddress
import os
from ctypes import POINTER, byref, c_char, c_char_p, c_int, c_size_t, c_void_p
from ctypes import c_uint8, c_uint16, c_uint32, c_uint64

UNLIMITED = NEVER = 2**64 - 1
KEY_SPACE, SPACE = 65, 4096


class Bytes(ctypes.Structure):
    """tk_bytes: bytes that are lent. Keeps them alive as long as itself."""

    _fields_ = [("data", c_void_p), ("len", c_size_t)]

    @classmethod
    def of(cls, value):
        """Lends a str or bytes; None is nothing at all."""
        if value is None:
            return cls(None, 0)
        raw = value.encode() if isinstance(value, str) else bytes(value)
        kept = ctypes.create_string_buffer(raw, len(raw) + 1)
        lent = cls(ctypes.addressof(kept), len(raw))
        lent.kept = kept
        return lent


class Config(ctypes.Structure):
    """tk_config."""

    _fields_ = [
        ("size", c_uint32),
        ("version", c_uint32),
        ("secret", Bytes),
        ("secret_file", Bytes),
        ("prefixes", Bytes),
        ("origins", Bytes),
        ("exempt", Bytes),
        ("realm", Bytes),
        ("ledger", Bytes),
        ("threshold", c_uint32),
        ("window_s", c_uint32),
        ("block_s", c_uint32),
        ("max_addresses", c_uint32),
        ("max_keys", c_uint32),
        ("preflight_max_age_s", c_uint32),
        ("omit_x_ratelimit", c_uint8),
        ("reserved", c_uint8 * 7),
    ]


class Key(ctypes.Structure):
    """tk_key."""

    _fields_ = [
        ("size", c_uint32),
        ("state", c_uint32),
        ("secret", Bytes),
        ("id", Bytes),
        ("digest", Bytes),
        ("project", Bytes),
        ("origins", Bytes),
        ("ips", Bytes),
        ("hourly_limit", c_uint64),
        ("expires_at", c_uint64),
        ("require_origin", c_uint8),
        ("reserved", c_uint8 * 7),
    ]


class RawRequest(ctypes.Structure):
    """tk_request."""

    _fields_ = [
        ("size", c_uint32),
        ("cost", c_uint32),
        ("api_key", Bytes),
        ("origin", Bytes),
        ("authorization", Bytes),
        ("bearer", Bytes),
        ("client", c_uint8 * 16),
        ("client_len", c_uint8),
        ("needs_user", c_uint8),
        ("api_key_repeated", c_uint8),
        ("origin_repeated", c_uint8),
        ("authorization_repeated", c_uint8),
        ("reserved", c_uint8 * 3),
    ]


class RawDecision(ctypes.Structure):
    """tk_decision."""

    _fields_ = [
        ("status", c_uint16),
        ("reason", c_uint8),
        ("allow_origin", c_uint8),
        ("retry_after_s", c_uint32),
        ("limit", c_uint64),
        ("remaining", c_uint64),
        ("reset_s", c_uint32),
        ("project", c_uint32),
        ("unix_s", c_uint64),
        ("key_id", c_char * 16),
        ("user", c_char * 72),
        ("reserved", c_uint64 * 2),
    ]


class Str(ctypes.Structure):
    """tk_str: a text of the library's."""

    _fields_ = [("data", c_void_p), ("len", c_size_t)]

    def text(self):
        """A copy of it."""
        return ctypes.string_at(self.data, self.len).decode("latin-1")


class Header(ctypes.Structure):
    """tk_header."""

    _fields_ = [("name", Str), ("value", Str)]


class RawAnswer(ctypes.Structure):
    """tk_answer."""

    _fields_ = [
        ("status", c_uint32),
        ("header_count", c_uint32),
        ("headers", Header * 16),
        ("content_type", Str),
        ("body", Str),
    ]


def _library():
    path = os.environ.get("TOKENKIT_LIBRARY") or ctypes.util.find_library("tokenkit")
    if path is None:
        raise OSError("libtokenkit is not found: install it, or name it in TOKENKIT_LIBRARY")
    library = ctypes.CDLL(path)
    engine = c_void_p
    for name, arguments in {
        "tk_engine_new": [POINTER(Config), POINTER(engine)],
        "tk_engine_free": [engine],
        "tk_engine_follow": [engine, Bytes],
        "tk_keys_put": [engine, POINTER(Key), c_size_t],
        "tk_key_mint": [engine, Bytes, POINTER(Key), c_char_p, c_size_t],
        "tk_key_set_state": [engine, Bytes, c_uint32, POINTER(c_uint32)],
        "tk_request_header": [Bytes, Bytes, POINTER(RawRequest)],
        "tk_decide": [engine, POINTER(RawRequest), POINTER(RawDecision)],
        "tk_decide_at": [engine, POINTER(RawRequest), c_uint64, POINTER(RawDecision)],
        "tk_render": [engine, POINTER(RawDecision), Bytes, c_char_p, c_size_t, POINTER(RawAnswer)],
    }.items():
        function = getattr(library, name)
        function.argtypes, function.restype = arguments, c_int
    for name, arguments in {
        "tk_version": [],
        "tk_last_error": [],
        "tk_result_name": [ctypes.c_int32],
        "tk_reason_name": [c_uint8],
    }.items():
        function = getattr(library, name)
        function.argtypes, function.restype = arguments, c_char_p
    return library


_LIB = _library()


class TokenkitError(Exception):
    """A call that failed; `result` is its name, such as "TK_ERR_VALUE"."""

    def __init__(self, result):
        self.result = _LIB.tk_result_name(result).decode()
        super().__init__(f"{self.result}: {_LIB.tk_last_error().decode()}")


def _done(result):
    if result != 0:
        raise TokenkitError(result)


def version():
    """The version of the library."""
    return _LIB.tk_version().decode()


class Request:
    """A request from a client address, with its headers: a dict, or pairs where
    some are sent more than once."""

    def __init__(self, client, headers=(), *, needs_user=False, cost=1):
        packed = ipaddress.ip_address(client).packed
        self.raw = RawRequest(size=ctypes.sizeof(RawRequest), cost=cost, needs_user=needs_user)
        self.raw.client[: len(packed)] = packed
        self.raw.client_len = len(packed)
        self.origin = None
        self._kept = []
        for name, value in headers.items() if isinstance(headers, dict) else headers:
            lent = Bytes.of(value)
            self._kept.append(lent)
            _done(_LIB.tk_request_header(Bytes.of(name), lent, byref(self.raw)))
            if name.lower() == "origin":
                self.origin = value


class Decision:
    """What was decided. It admits if and only if `allowed` is true."""

    def __init__(self, raw):
        self.raw = raw
        self.status = raw.status
        self.reason = _LIB.tk_reason_name(raw.reason).decode()
        self.allowed = self.reason == "allowed"
        self.key_id = raw.key_id.decode() or None
        self.user = raw.user.decode() or None
        has_budget = raw.reset_s != 0
        self.limit = raw.limit if has_budget else None
        self.remaining = raw.remaining if has_budget else None
        self.reset_s = raw.reset_s if has_budget else None
        self.retry_after_s = raw.retry_after_s if raw.status == 429 else None


class Answer:
    """Status, headers and body over HTTP."""

    def __init__(self, raw):
        self.status = raw.status
        headers = raw.headers[: raw.header_count]
        self.headers = {header.name.text(): header.value.text() for header in headers}
        self.body = raw.body.text()
        if self.body:
            self.headers["content-type"] = raw.content_type.text()


class Engine:
    """An engine. Any number of threads may share it; a process that forks makes
    another in the child. Freed by `close`, or at the end of a `with`."""

    def __init__(self, **settings):
        config = Config(size=ctypes.sizeof(Config), version=1)
        lent = []
        for name, value in settings.items():
            if name not in dict(Config._fields_) or name in ("size", "version", "reserved"):
                raise TypeError(f"there is no setting {name!r}")
            if isinstance(value, (str, bytes)):
                value = Bytes.of(value)
                lent.append(value)
            setattr(config, name, value)
        self._handle = c_void_p()
        _done(_LIB.tk_engine_new(byref(config), byref(self._handle)))

    def close(self):
        """Frees it; whoever decides by it from now on is denied."""
        _done(_LIB.tk_engine_free(self._handle))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def follow(self, path):
        """Loads a store of tokenkit and keeps in step with it."""
        _done(_LIB.tk_engine_follow(self._handle, Bytes.of(path)))

    def _policy(self, project, hourly_limit, expires_at, origins, ips):
        texts = [Bytes.of(project), Bytes.of(" ".join(origins)), Bytes.of(" ".join(ips))]
        key = Key(size=ctypes.sizeof(Key), state=1)
        key.project, key.origins, key.ips = texts
        key.hourly_limit = UNLIMITED if hourly_limit is None else hourly_limit
        key.expires_at = NEVER if expires_at is None else expires_at
        key.kept = texts
        return key

    def mint(self, *, project, hourly_limit=None, expires_at=None, origins=(), ips=(), prefix=None):
        """Mints a key and returns it whole, this once."""
        key = self._policy(project, hourly_limit, expires_at, origins, ips)
        space = ctypes.create_string_buffer(KEY_SPACE)
        _done(_LIB.tk_key_mint(self._handle, Bytes.of(prefix), byref(key), space, KEY_SPACE))
        return space.value.decode()

    def put(self, secret, *, project, hourly_limit=None, expires_at=None, origins=(), ips=()):
        """Adds a whole key that was made elsewhere, or replaces its policy."""
        key = self._policy(project, hourly_limit, expires_at, origins, ips)
        lent = Bytes.of(secret)
        key.secret = lent
        _done(_LIB.tk_keys_put(self._handle, byref(key), 1))

    def revoke(self, key_id):
        """Revokes a key for good."""
        _done(_LIB.tk_key_set_state(self._handle, Bytes.of(key_id), 3, None))

    def decide(self, request, unix_s=None):
        """Decides, at the system's time or at one that is given. Never raises:
        what cannot be decided about is denied."""
        raw = RawDecision()
        if unix_s is None:
            _LIB.tk_decide(self._handle, byref(request.raw), byref(raw))
        else:
            _LIB.tk_decide_at(self._handle, byref(request.raw), unix_s, byref(raw))
        return Decision(raw)

    def render(self, decision, origin=None):
        """The answer over HTTP. Never raises: what cannot be rendered is a 503."""
        space = ctypes.create_string_buffer(SPACE)
        raw = RawAnswer()
        _LIB.tk_render(
            self._handle, byref(decision.raw), Bytes.of(origin), space, SPACE, byref(raw)
        )
        return Answer(raw)
