/*
 * tokenkit: decides for every request whether its API key admits it.
 *
 * Made by `cargo xtask header`; changes belong into crates/engine-ffi/src.
 *
 * Errors. A function that can fail returns a tk_result; tk_last_error has the
 * reason in words. Every failure denies: a tk_decision is always written, a
 * zeroed one does not admit, and a tk_answer of a failed call is a 503.
 *
 * Ownership. The caller owns every struct and every byte that it passes, and
 * the library keeps no pointer into them beyond the call. What the library
 * returns is its own and never freed by the caller, but for an engine, which
 * tk_engine_free frees.
 *
 * Threads. Every function may be called from any thread at any time, with one
 * engine from any number of them; each call wants structs and space of its own.
 * However many live, 1024 of them may be within calls at one moment, of all
 * engines together; where more are, a call may deny with TK_ERR_FULL. None may
 * be called from a signal handler.
 *
 * fork. A child makes an engine of its own; the parent's handles deny there,
 * with TK_ERR_FORKED.
 *
 * Pointers. NULL and misaligned ones are found out wherever they matter. Others
 * must lead to memory of the size that goes with them, outputs to memory that
 * nothing else uses during the call and that overlaps with no input.
 */

#ifndef TOKENKIT_H
#define TOKENKIT_H


#include <stddef.h>
#include <stdint.h>
#include <string.h>

/** The version of this header; tk_version tells that of the library. */
#define TK_VERSION "0.1.0"


/**
 * The most bytes in one `tk_bytes`, 16 MiB: far more than anything that can
 * be meant, so that a length that was never set is found out.
 */
#define TK_MAX_BYTES (1 << 24)

/**
 * The version of `tk_config` that this header describes.
 */
#define TK_CONFIG_VERSION 1

/**
 * The most headers of one `tk_answer`.
 */
#define TK_MAX_HEADERS 16

/**
 * Space in which every answer finds room but that to a preflight whose method
 * or origin is longer than a kilobyte.
 */
#define TK_SPACE 4096

/**
 * An `hourly_limit` of none: unlimited, but still counted.
 */
#define TK_UNLIMITED UINT64_MAX

/**
 * An `expires_at` of never.
 */
#define TK_NEVER UINT64_MAX

/**
 * Bytes of a digest.
 */
#define TK_DIGEST_LEN 32

/**
 * Characters of a key's public id.
 */
#define TK_KEY_ID_LEN 10

/**
 * Room for a whole key and the NUL behind it.
 */
#define TK_KEY_SPACE 65

/**
 * Room for a minted token and the NUL behind it.
 */
#define TK_TOKEN_SPACE 44

/**
 * Reasons that are counted: more than there are.
 */
#define TK_REASONS 32

/**
 * What a call answers. Later versions add to these, and never change one.
 *
 * A call that does not answer `TK_OK` has changed nothing, and left its
 * outputs as they were; only a `tk_decision` is always written, and then
 * denies, as does a `tk_answer`, which is then a 503. `tk_last_error` has the
 * reason in words.
 */
typedef enum {
    /**
     * Done. It says nothing about what was decided.
     */
    TK_OK = 0,
    /**
     * A pointer is NULL that must not be.
     */
    TK_ERR_NULL = 1,
    /**
     * The engine is NULL, was freed, or was never made.
     */
    TK_ERR_ENGINE = 2,
    /**
     * The engine was made before `fork`: make another in this process.
     */
    TK_ERR_FORKED = 3,
    /**
     * A pointer is not aligned to what it points to.
     */
    TK_ERR_MISALIGNED = 4,
    /**
     * A length or a count is larger than anything that can be meant.
     */
    TK_ERR_LENGTH = 5,
    /**
     * The size or the version in a struct is none that this library knows, or
     * a reserved member is set.
     */
    TK_ERR_STRUCT = 6,
    /**
     * A text is not UTF-8.
     */
    TK_ERR_UTF8 = 7,
    /**
     * A value is not of its form, or out of its range.
     */
    TK_ERR_VALUE = 8,
    /**
     * There is no key of this id.
     */
    TK_ERR_NO_KEY = 9,
    /**
     * There is a key of this id already.
     */
    TK_ERR_DUPLICATE = 10,
    /**
     * There is no room for a further key, for a further engine, or for a
     * further thread within a call: see "Threads" above.
     */
    TK_ERR_FULL = 11,
    /**
     * The space that was given is too small.
     */
    TK_ERR_SPACE = 12,
    /**
     * The system refused memory, random bytes, a file or a thread.
     */
    TK_ERR_SYSTEM = 13,
    /**
     * The key store cannot be used.
     */
    TK_ERR_STORE = 14,
    /**
     * The ledger file cannot be used.
     */
    TK_ERR_LEDGER = 15,
    /**
     * A fault of this library.
     */
    TK_ERR_INTERNAL = 16,
} tk_result;

/**
 * Why a request was allowed or refused: what `tk_decision.reason` holds. The
 * words of the contract by their numbers; later versions add to them.
 */
typedef enum {
    /**
     * Nothing: a decision that was never written. It does not allow.
     */
    TK_REASON_NONE = 0,
    /**
     * 200: admitted, and charged by its cost.
     */
    TK_REASON_ALLOWED = 1,
    /**
     * 401: no `api-key` header, or an empty or blank one.
     */
    TK_REASON_MISSING_KEY = 2,
    /**
     * 429: the client address is blocked after too many guesses.
     */
    TK_REASON_IP_BLOCKED = 3,
    /**
     * 401: not of a key's form, or sent more than once.
     */
    TK_REASON_MALFORMED_KEY = 4,
    /**
     * 401: of the form, but no such key.
     */
    TK_REASON_UNKNOWN_KEY = 5,
    /**
     * 401: the key was revoked.
     */
    TK_REASON_REVOKED_KEY = 6,
    /**
     * 401: the key is disabled.
     */
    TK_REASON_DISABLED_KEY = 7,
    /**
     * 401: the key has expired.
     */
    TK_REASON_EXPIRED_KEY = 8,
    /**
     * 401: the origin is not among those that the key lists, or none was sent
     * where the key demands one.
     */
    TK_REASON_ORIGIN_DENIED = 9,
    /**
     * 401: the client address is in none of the blocks that the key lists.
     */
    TK_REASON_IP_DENIED = 10,
    /**
     * 403: the endpoint wants a user, and no bearer token was sent.
     */
    TK_REASON_BEARER_REQUIRED = 11,
    /**
     * 403: the bearer token is malformed, unknown, expired or of another
     * project.
     */
    TK_REASON_BEARER_INVALID = 12,
    /**
     * 429: the hour's budget does not hold the request's cost.
     */
    TK_REASON_HOURLY_LIMIT = 13,
    /**
     * 503: nothing could be decided, and so it is refused: the engine is NULL,
     * was freed, or was made before `fork`, or the call was wrong.
     * `tk_last_error` says why. No word of the contract: no counter moves.
     */
    TK_REASON_UNUSABLE = 255,
} tk_reason;

/**
 * Whether a key may be used at all: what `tk_key.state` holds.
 */
typedef enum {
    /**
     * It may.
     */
    TK_STATE_ACTIVE = 1,
    /**
     * Not now; it can be enabled again.
     */
    TK_STATE_DISABLED = 2,
    /**
     * Never again: a revoked key stays revoked, whatever is asked for.
     */
    TK_STATE_REVOKED = 3,
} tk_state;

/**
 * An engine: keys, sessions and counters, and what decides by them.
 *
 * A handle is a name, not an address: it is never followed, only looked up,
 * in the time of a few instructions. So a handle that is NULL, was freed, or
 * never was one is found out by every function and denies, from any thread,
 * at any time; freed handles do not come back. At most 256 engines live at
 * one time.
 *
 * After `fork` the handles of the parent are of no use in the child: they
 * deny with `TK_REASON_UNUSABLE` and `TK_ERR_FORKED`, for the counters that
 * they would charge are copies which nobody else sees. The child makes an
 * engine of its own; the parent's goes on undisturbed. Counts that are one
 * across processes lie in a ledger file.
 */
typedef struct tk_engine tk_engine;

/**
 * Bytes that the caller owns and lends for the length of one call. They may
 * lie anywhere, need no NUL behind them, and are never written to.
 *
 * `data` NULL with `len` 0 stands for nothing at all, such as a header that
 * was not sent; `data` that is not NULL with `len` 0 is there and empty.
 */
typedef struct {
    /**
     * Where they begin.
     */
    const void *data;
    /**
     * How many there are, up to `TK_MAX_BYTES`.
     */
    size_t len;
} tk_bytes;

/**
 * How an engine is set up. `tk_config_init` sets all that has a default; a
 * secret must be given. Every text is UTF-8 and needed only for the length of
 * `tk_engine_new`.
 *
 * A list is one text, its items separated by blanks or commas. A number that
 * is 0 stands for its default.
 */
typedef struct {
    /**
     * `sizeof(tk_config)`.
     */
    uint32_t size;
    /**
     * `TK_CONFIG_VERSION`.
     */
    uint32_t version;
    /**
     * The server secret, 32 bytes, under which keys and tokens are digested.
     */
    tk_bytes secret;
    /**
     * Or the file that holds it, as the command line of tokenkit makes one.
     */
    tk_bytes secret_file;
    /**
     * The prefixes that keys may have; "tk_live tk_test" by default.
     */
    tk_bytes prefixes;
    /**
     * Browser origins whose pages may read every answer, such as
     * `https://console.example.com https://app.example.org`; none by default.
     */
    tk_bytes origins;
    /**
     * Address blocks (CIDR) that are never counted nor blocked.
     */
    tk_bytes exempt;
    /**
     * What the challenge of a 401 calls the service; "tokenkit" by default.
     */
    tk_bytes realm;
    /**
     * The file that holds the counters, made where it is missing: one exact
     * count for all processes that name it, which outlives them. None by
     * default: the counters are this engine's own. All that share a file have
     * the same secret, the same keys, and the same settings below. It lies on a
     * file system of this machine; `/dev/shm` or `/run` will do unless counts
     * are to outlive the machine. Linux alone; installs a handler for SIGBUS,
     * which hands on whatever else it gets. A thread that calls does not block
     * SIGBUS: the process would end where the file is cut short by somebody.
     */
    tk_bytes ledger;
    /**
     * Guesses within the window that block an address, 1 to 4095; 10.
     */
    uint32_t threshold;
    /**
     * The window in seconds, a multiple of 12, 12 to 86400; 300.
     */
    uint32_t window_s;
    /**
     * Seconds that an address stays blocked; 300.
     */
    uint32_t block_s;
    /**
     * Addresses whose guesses are remembered, 137 bytes each; 65536.
     */
    uint32_t max_addresses;
    /**
     * The most keys at one time, up to 268435456; 16777216. Address space for
     * 64 bytes each is set aside, memory only as it is used.
     */
    uint32_t max_keys;
    /**
     * Seconds for which a browser may remember the answer to a preflight; 600.
     */
    uint32_t preflight_max_age_s;
    /**
     * 1: answers carry `RateLimit` and `RateLimit-Policy`, but not the older
     * `X-RateLimit-Limit`, `-Remaining` and `-Reset`; 0: all of them.
     */
    uint8_t omit_x_ratelimit;
    /**
     * Zero.
     */
    uint8_t reserved[7];
} tk_config;

/**
 * One request to decide about. Set it up with `tk_request_init`, then give
 * the client's address and the headers. All that it points to is the
 * caller's, and needed only for the length of the call that it is handed to.
 *
 * `tk_request_header` fills in `api_key`, `origin` and `authorization` from
 * headers as they come, repeated ones included.
 */
typedef struct {
    /**
     * `sizeof(tk_request)`.
     */
    uint32_t size;
    /**
     * Units that the request takes from the key's hour; `tk_request_init`
     * sets 1, and 0 is allowed.
     */
    uint32_t cost;
    /**
     * The value of the `api-key` header; `data` NULL where it was not sent.
     */
    tk_bytes api_key;
    /**
     * The value of the `Origin` header; `data` NULL where it was not sent.
     */
    tk_bytes origin;
    /**
     * The value of the `Authorization` header, of which a bearer token is
     * read and any other scheme is ignored; `data` NULL where it was not sent.
     * Of several headers, one that is a bearer's if there is one.
     */
    tk_bytes authorization;
    /**
     * The bearer token alone, for who has taken it out of its header already:
     * where its `data` is not NULL, `authorization` is not looked at. Either
     * way a token of more than 512 bytes is invalid.
     */
    tk_bytes bearer;
    /**
     * The client's address in network byte order, IPv4 in the first 4 bytes.
     * That of the peer, or what a trusted proxy says it is.
     */
    uint8_t client[16];
    /**
     * How many bytes of `client` count: 4 or 16.
     */
    uint8_t client_len;
    /**
     * Not 0: the endpoint wants a user's session token.
     */
    uint8_t needs_user;
    /**
     * Not 0: the `api-key` header was sent more than once.
     */
    uint8_t api_key_repeated;
    /**
     * Not 0: the `Origin` header was sent more than once.
     */
    uint8_t origin_repeated;
    /**
     * Not 0: the `Authorization` header was sent more than once.
     */
    uint8_t authorization_repeated;
    /**
     * Zero.
     */
    uint8_t reserved[3];
} tk_request;

/**
 * What was decided about one request: plain data, to be copied at will. A
 * text in it ends with a NUL, and is empty where there is none.
 *
 * A request is admitted if and only if `reason` is `TK_REASON_ALLOWED`, and
 * `status` then is 200. All zeroes do not admit.
 *
 * The members are read directly: that costs nothing, and a debugger shows
 * them. Of what later versions add, the first lies in `reserved`.
 */
typedef struct {
    /**
     * The HTTP status: 200, 401, 403 or 429; 503 where nothing could be
     * decided.
     */
    uint16_t status;
    /**
     * A `tk_reason`.
     */
    uint8_t reason;
    /**
     * 1 where a browser at the request's origin may read the answer, else 0.
     */
    uint8_t allow_origin;
    /**
     * Seconds to wait before another try, on a 429; else 0.
     */
    uint32_t retry_after_s;
    /**
     * The key's hourly limit, in units. It, `remaining` and `reset_s` are told
     * where the key has a limit and the request was admitted or refused for
     * it: where `reset_s` is not 0.
     */
    uint64_t limit;
    /**
     * Units left in this hour, after the request.
     */
    uint64_t remaining;
    /**
     * Seconds until the next hour, 1 to 3600; 0 where no budget is told.
     */
    uint32_t reset_s;
    /**
     * For `tk_project`: the project as a number of this engine's; 0 where no
     * key is known.
     */
    uint32_t project;
    /**
     * When it was decided, in unix seconds; 0 where that did not matter.
     */
    uint64_t unix_s;
    /**
     * The public id of the key, once one is known, whatever refused it
     * afterwards: ten characters.
     */
    char key_id[16];
    /**
     * The user of an admitted request that carried a valid bearer token: up
     * to 64 characters.
     */
    char user[72];
    /**
     * Zero.
     */
    uint64_t reserved[2];
} tk_decision;

/**
 * A text that the library hands out, with a NUL behind it; `data` is never
 * NULL.
 */
typedef struct {
    /**
     * Where it begins.
     */
    const char *data;
    /**
     * Its length without the NUL.
     */
    size_t len;
} tk_str;

/**
 * One header.
 */
typedef struct {
    /**
     * Its name, in lower case.
     */
    tk_str name;
    /**
     * Its value, which has no line break in it.
     */
    tk_str value;
} tk_header;

/**
 * An answer, or the headers of one. Its texts lie in the `space` that was
 * given and last as long as that; those of a 503 for a call that failed are the
 * library's.
 */
typedef struct {
    /**
     * The HTTP status; 503 where the call failed.
     */
    uint32_t status;
    /**
     * How many headers there are.
     */
    uint32_t header_count;
    /**
     * The headers, each name once; `Content-Type` and `Content-Length` are not
     * among them.
     */
    tk_header headers[TK_MAX_HEADERS];
    /**
     * The media type of the body; empty where there is no body.
     */
    tk_str content_type;
    /**
     * The body, not to be sent to a HEAD; empty where there is none.
     */
    tk_str body;
} tk_answer;

/**
 * A key, and what it may do. Set it up with `tk_key_init`: active, without
 * limit, expiry or lists. All zeroes are refused.
 *
 * It is named either by the whole key, of which only a digest is kept, or by
 * its id and that digest (`tk_key_digest`), as a store of your own has them.
 * Texts are UTF-8. A list is one text, its items separated by blanks or
 * commas; none or an empty one allows any.
 */
typedef struct {
    /**
     * `sizeof(tk_key)`.
     */
    uint32_t size;
    /**
     * A `tk_state`.
     */
    uint32_t state;
    /**
     * The whole key in the clear; or nothing, and `id` and `digest`.
     */
    tk_bytes secret;
    /**
     * The public id: 10 characters.
     */
    tk_bytes id;
    /**
     * The digest of the whole key: 32 bytes.
     */
    tk_bytes digest;
    /**
     * The project that the key belongs to: 1 to 64 printable ASCII characters.
     */
    tk_bytes project;
    /**
     * The origins that may use the key.
     */
    tk_bytes origins;
    /**
     * The addresses (CIDR) that may use the key.
     */
    tk_bytes ips;
    /**
     * Units an hour, up to 68719476734, or `TK_UNLIMITED`.
     */
    uint64_t hourly_limit;
    /**
     * The unix second from which on the key is refused, or `TK_NEVER`; a time
     * past the year 4147 (2^36 seconds) is never, too.
     */
    uint64_t expires_at;
    /**
     * 1: a request without an origin is refused; else 0.
     */
    uint8_t require_origin;
    /**
     * Zero.
     */
    uint8_t reserved[7];
} tk_key;

/**
 * A user's session. Set it up with `tk_session_init`, which sets no expiry.
 *
 * It is named either by the whole token, of which only a digest is kept, or by
 * that digest (`tk_token_digest`).
 */
typedef struct {
    /**
     * `sizeof(tk_session)`.
     */
    uint32_t size;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * The whole token in the clear; or nothing, and `digest`.
     */
    tk_bytes token;
    /**
     * The digest of the whole token: 32 bytes.
     */
    tk_bytes digest;
    /**
     * The project whose keys the session goes with: 1 to 64 printable ASCII
     * characters.
     */
    tk_bytes project;
    /**
     * The user that the session speaks for: as `project`.
     */
    tk_bytes user;
    /**
     * The unix second from which on the token is refused, or `TK_NEVER`.
     */
    uint64_t expires_at;
} tk_session;

/**
 * What an engine holds and has done. Set it up with `tk_metrics_init`; later
 * versions add members at the end.
 */
typedef struct {
    /**
     * `sizeof(tk_metrics)`.
     */
    uint32_t size;
    /**
     * 1 where the engine follows a store and its thread is at work, else 0.
     */
    uint8_t follows;
    /**
     * 1 where the ledger file was found damaged, cut short or full, else 0.
     */
    uint8_t ledger_fault;
    /**
     * Zero.
     */
    uint8_t reserved[2];
    /**
     * Keys, whatever their state.
     */
    uint64_t keys;
    /**
     * Sessions, expired ones that were not yet given back included.
     */
    uint64_t sessions;
    /**
     * Client addresses that are blocked.
     */
    uint64_t blocked_addresses;
    /**
     * Decisions since the engine was made, by the number of their reason; at 0
     * the calls that were wrong and decided nothing.
     */
    uint64_t decisions[32];
    /**
     * Milliseconds since the store that is followed was last looked at with
     * success: some dozens while all is well. An alert on it says that
     * revocations no longer arrive. 0 where none is followed.
     */
    uint64_t store_lag_ms;
    /**
     * Looks at the store that failed.
     */
    uint64_t store_errors;
} tk_metrics;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The version of the library, such as "0.1.0". Never NULL, never to be freed.
 *
 * Thread safety: any thread, at any time, also after `fork`. Errors: none.
 */
const char *tk_version(void);

/**
 * Why the last call that failed on this thread did, and what to do about it;
 * empty where none has. It names no key and no secret. Never NULL.
 *
 * Ownership: the library's; the place stays as long as the thread lives, and
 * another call that fails on it writes another text there. Thread safety: each thread has its own. Errors: none.
 */
const char *tk_last_error(void);

/**
 * The name of a result, such as "TK_ERR_NULL"; "TK_ERR_?" for a number that
 * this version does not know. Never NULL, never to be freed.
 *
 * Thread safety: any thread. Errors: none.
 */
const char *tk_result_name(int32_t result);

/**
 * Makes an engine without keys and sessions, with the counts of its ledger if
 * it names one, and writes its handle to
 * `engine`. It answers until `tk_engine_free`.
 *
 * Ownership: the caller's; what `config` points to is not kept. Thread safety:
 * any thread. After `fork`: make an engine in the child; it may be done where
 * the parent has engines and threads.
 * Errors: TK_ERR_NULL, TK_ERR_MISALIGNED, TK_ERR_STRUCT, TK_ERR_LENGTH,
 * TK_ERR_UTF8; TK_ERR_VALUE where a setting is out of its range or form;
 * TK_ERR_FULL past 256 engines; TK_ERR_SYSTEM where there is no memory, no
 * random bytes, or the secret file cannot be read; TK_ERR_LEDGER where the
 * ledger file is none, does not fit the settings, or cannot be made.
 */
tk_result tk_engine_new(const tk_config *config, tk_engine **engine);

/**
 * Frees an engine. It waits until calls that other threads are within have
 * ended, each of which sees the engine whole; calls that begin later find no
 * engine, deny, and answer TK_ERR_ENGINE. When this returns, no thread uses
 * the engine any more and its memory is given back.
 *
 * In a child of `fork`, to which the engine does not belong, only the handle
 * ends: the memory stays shared with the parent, whose engine goes on.
 *
 * Thread safety: any thread, also while others decide. Of several calls for
 * one engine one frees it. Not to be called from a signal handler.
 * Errors: TK_ERR_ENGINE where it is NULL, was freed before, or never was.
 */
tk_result tk_engine_free(tk_engine *engine);

/**
 * Gives back memory of expired sessions, and of keys and sessions that were
 * replaced. Call it every few seconds from a thread that serves no requests;
 * it takes time in proportion to the number of sessions. Without it memory
 * is given back only as keys and sessions are changed. An engine that follows
 * a store needs none. Sessions that it drops stay dropped if the clock turns
 * out to have been ahead: put those in again.
 *
 * Thread safety: any thread, also while others decide.
 * Errors: TK_ERR_ENGINE, TK_ERR_FORKED.
 */
tk_result tk_engine_tidy(const tk_engine *engine);

/**
 * Ends the block of a client address, given as text (of its /64 for IPv6),
 * at a time in unix seconds. `was_blocked`, unless it is NULL, tells by 1 or 0
 * whether there was one. Its count of guesses starts again from nothing.
 *
 * Thread safety: any thread, also while others decide.
 * Errors: TK_ERR_ENGINE, TK_ERR_FORKED, TK_ERR_NULL, TK_ERR_LENGTH,
 * TK_ERR_UTF8; TK_ERR_VALUE for what is no address.
 */
tk_result tk_unblock(tk_engine *engine,
                     tk_bytes client,
                     uint64_t unix_s,
                     uint8_t *was_blocked);

/**
 * Tells a request of one header that its client sent. Call it for each, in
 * any order: names that no decision rests on are left alone, and what is sent
 * more than once is noted.
 *
 * Ownership: the bytes of `value` stay the caller's and must last until the
 * request was decided about. Thread safety: as any other write to `request`.
 * Errors: TK_ERR_NULL, TK_ERR_MISALIGNED, TK_ERR_LENGTH; TK_ERR_STRUCT for a
 * request that is of another version or was not set up.
 */
tk_result tk_request_header(tk_bytes name, tk_bytes value, tk_request *request);

/**
 * Sets a request's client address from text, such as "192.0.2.7" or
 * "2001:db8::7". `tk_request_ipv4` and `tk_request_ipv6` take it in bytes.
 *
 * Thread safety: as any other write to `request`.
 * Errors: TK_ERR_NULL, TK_ERR_MISALIGNED, TK_ERR_LENGTH, TK_ERR_UTF8;
 * TK_ERR_STRUCT for a request that is of another version or was not set up;
 * TK_ERR_VALUE for what is no address.
 */
tk_result tk_request_address(tk_bytes text, tk_request *request);

/**
 * The word for a reason in bodies, logs and metrics, such as "allowed" or
 * "hourly_limit"; "unusable" for `TK_REASON_UNUSABLE`, and "none" for any
 * other number. Never NULL, never to be freed.
 *
 * Thread safety: any thread. Errors: none.
 */
const char *tk_reason_name(uint8_t reason);

/**
 * Decides about a request at the system's time, and charges the key if it
 * admits. What was decided lies in `decision`, which is written whatever the
 * call answers: where it is not TK_OK, with `TK_REASON_UNUSABLE`.
 *
 * Allocates nothing, takes no lock, and makes no system call but the clock's.
 *
 * Ownership: both structs are the caller's; nothing is kept. Thread safety:
 * any number of threads with one engine, each with structs of its own, also
 * while others change or free the engine. Not to be called from a signal
 * handler.
 * Errors, all of which deny: TK_ERR_ENGINE, TK_ERR_FORKED, TK_ERR_NULL,
 * TK_ERR_MISALIGNED (also of `decision`, which is written all the same),
 * TK_ERR_STRUCT, TK_ERR_LENGTH; TK_ERR_VALUE for a request without a client
 * address; TK_ERR_FULL past 1024 threads that are within calls.
 */
tk_result tk_decide(const tk_engine *engine,
                    const tk_request *request,
                    tk_decision *decision);

/**
 * As `tk_decide`, at a time in unix seconds, which may lie before that of an
 * earlier call.
 */
tk_result tk_decide_at(const tk_engine *engine,
                       const tk_request *request,
                       uint64_t unix_s,
                       tk_decision *decision);

/**
 * Decides about `count` requests of one moment, the system's time, and writes
 * as many decisions. Gives what as many calls of `tk_decide` in this order
 * would, in less time: keys are hashed side by side, and memory is asked for
 * early; 64 at a time are as good as more.
 *
 * If any request of the array is wrong, none is decided about or charged: all
 * decisions hold `TK_REASON_UNUSABLE`.
 *
 * Ownership, thread safety, errors: as `tk_decide`; TK_ERR_STRUCT also where
 * the requests say different sizes, TK_ERR_LENGTH also for a count that no
 * memory holds, with which nothing is written. A count of 0 does nothing.
 */
tk_result tk_decide_batch(const tk_engine *engine,
                          const tk_request *requests,
                          size_t count,
                          tk_decision *decisions);

/**
 * As `tk_decide_batch`, at a time in unix seconds.
 */
tk_result tk_decide_batch_at(const tk_engine *engine,
                             const tk_request *requests,
                             size_t count,
                             uint64_t unix_s,
                             tk_decision *decisions);

/**
 * Renders a decision: of a refusal the whole answer; of an admitted request
 * the headers that are added to the answer of the service behind, with the
 * status 200 and no body. There `vary` and `access-control-expose-headers`
 * join what the service says, and every other name takes the place of its own.
 *
 * `origin` is the `Origin` header as the client sent it, or nothing. Of a
 * decision that is none (`TK_REASON_UNUSABLE`, or never written) the answer is
 * a 503, whatever the engine is.
 *
 * Ownership: `answer` and `space` are the caller's, and must not overlap with
 * anything else; `TK_SPACE` bytes suffice. Thread safety: any thread, also
 * while others decide.
 * Errors, with each of which `answer` is a 503 that may be sent as it is:
 * TK_ERR_ENGINE, TK_ERR_FORKED, TK_ERR_NULL, TK_ERR_MISALIGNED, TK_ERR_LENGTH;
 * TK_ERR_SPACE where `space` is too small.
 */
tk_result tk_render(const tk_engine *engine,
                    const tk_decision *decision,
                    tk_bytes origin,
                    char *space,
                    size_t space_len,
                    tk_answer *answer);

/**
 * The answer to a preflight: a request whose method is OPTIONS and which has
 * an `Origin` and an `Access-Control-Request-Method`. It carries no key, is
 * never decided about or handed on, and is answered with 204 and no body.
 * `origin`, `method` and `request_headers` are the values of those headers and
 * of `Access-Control-Request-Headers`, which may be nothing.
 *
 * Ownership, thread safety: as `tk_render`; it takes a lock that changes to
 * the keys hold for moments, and allocates.
 * Errors, with each of which `answer` is a 503: as `tk_render`; TK_ERR_NULL
 * also where there is no origin or no method.
 */
tk_result tk_preflight(const tk_engine *engine,
                       tk_bytes origin,
                       tk_bytes method,
                       tk_bytes request_headers,
                       char *space,
                       size_t space_len,
                       tk_answer *answer);

/**
 * The headers that tell the service behind who asks: `x-tokenkit-key`,
 * `x-tokenkit-project` and, where there is one, `x-tokenkit-user`. Of a
 * request that was not admitted there are none. What the client sent under
 * such names must go first: see `tk_header_is_reserved`.
 *
 * Ownership, thread safety, errors: as `tk_render`; only `header_count` and
 * `headers` matter.
 */
tk_result tk_identity(const tk_engine *engine,
                      const tk_decision *decision,
                      char *space,
                      size_t space_len,
                      tk_answer *answer);

/**
 * Whether a header of this name must be taken out of what a client sent,
 * before the request goes to the service behind: 1 for the identity headers
 * and the `api-key` itself, in every spelling that some services cannot tell
 * from theirs, such as `X_Tokenkit_User`; else 0. What cannot be looked at
 * counts as reserved.
 *
 * Thread safety: any thread. Errors: none.
 */
uint8_t tk_header_is_reserved(tk_bytes name);

/**
 * Writes the project of a decision to `project`, for logs: the name lies in
 * `space`, of which 65 bytes suffice. Empty where no key is known.
 *
 * Ownership: as `tk_render`. Thread safety: any thread.
 * Errors, with each of which `project` stays as it was: TK_ERR_ENGINE,
 * TK_ERR_FORKED, TK_ERR_NULL, TK_ERR_MISALIGNED, TK_ERR_LENGTH, TK_ERR_SPACE.
 */
tk_result tk_project(const tk_engine *engine,
                     const tk_decision *decision,
                     char *space,
                     size_t space_len,
                     tk_str *project);

/**
 * Adds `count` keys, or replaces those of the same ids, which keep what they
 * have used; all of them or none. A revoked key stays revoked, whatever
 * replaces it. Every decision that starts after this returns sees them.
 *
 * Ownership: nothing is kept of what `keys` points to; of a whole key its
 * digest is. Thread safety: any thread, also while others decide; changes
 * take turns.
 * Errors, which leave all as it was: TK_ERR_ENGINE, TK_ERR_FORKED,
 * TK_ERR_NULL, TK_ERR_MISALIGNED, TK_ERR_STRUCT, TK_ERR_LENGTH, TK_ERR_UTF8,
 * TK_ERR_VALUE, TK_ERR_DUPLICATE for an id that stands twice; TK_ERR_FULL
 * past `max_keys`; TK_ERR_LEDGER where the ledger file has no place for a new
 * key, or was damaged; TK_ERR_SYSTEM where there is no memory.
 */
tk_result tk_keys_put(tk_engine *engine, const tk_key *keys, size_t count);

/**
 * Mints a key from the system's random source, puts it in with the policy of
 * `key` (whose `secret`, `id` and `digest` must be nothing), and writes the
 * whole key to `space` with a NUL behind it: show it once, then wipe it, for
 * only its digest is kept. Its public id is the ten characters before the last
 * 38. `prefix` is one of the configured ones; nothing is the first of them.
 *
 * Ownership: `space` is the caller's, `TK_KEY_SPACE` bytes suffice. Thread
 * safety: as `tk_keys_put`.
 * Errors, which mint nothing: as `tk_keys_put`; TK_ERR_SPACE where `space` is
 * too small, TK_ERR_SYSTEM also where the system gives no random bytes.
 */
tk_result tk_key_mint(tk_engine *engine,
                      tk_bytes prefix,
                      const tk_key *key,
                      char *space,
                      size_t space_len);

/**
 * Removes a key by its id: from now on it is unknown, and using it counts as
 * a guess. To end a key, revoke it instead. What it has used rests for nine
 * hours, in which a key of the same id finds it again.
 *
 * Thread safety: as `tk_keys_put`.
 * Errors: TK_ERR_ENGINE, TK_ERR_FORKED, TK_ERR_NULL, TK_ERR_LENGTH,
 * TK_ERR_UTF8, TK_ERR_VALUE for what is no id, TK_ERR_NO_KEY; TK_ERR_SYSTEM
 * where there is no memory for the change.
 */
tk_result tk_key_remove(tk_engine *engine, tk_bytes id);

/**
 * Asks for the state of a key, a `tk_state`. `now`, unless it is NULL, gets
 * the one that the key is in afterwards: a revoked key stays revoked.
 *
 * Thread safety: as `tk_keys_put`.
 * Errors: as `tk_key_remove`; TK_ERR_VALUE also for what is no state,
 * TK_ERR_MISALIGNED.
 */
tk_result tk_key_set_state(tk_engine *engine,
                           tk_bytes id,
                           uint32_t state,
                           uint32_t *now);

/**
 * Sets the hourly limit of a key, in units, or `TK_UNLIMITED`. It takes effect
 * at once, against what the hour has already used.
 *
 * Thread safety: as `tk_keys_put`.
 * Errors: as `tk_key_remove`; TK_ERR_VALUE also for a limit past 68719476734.
 */
tk_result tk_key_set_limit(tk_engine *engine, tk_bytes id, uint64_t hourly_limit);

/**
 * Writes to `units` what a key has used in the hour of a time in unix seconds,
 * which may be that of any of the last 8 hours.
 *
 * Thread safety: any thread, also while others decide.
 * Errors: as `tk_key_remove` but for TK_ERR_SYSTEM; TK_ERR_MISALIGNED;
 * TK_ERR_NO_KEY also where the hour is longer ago than is counted.
 */
tk_result tk_key_used(const tk_engine *engine,
                      tk_bytes id,
                      uint64_t unix_s,
                      uint64_t *units);

/**
 * Writes the digest of a whole key under the engine's secret, `TK_DIGEST_LEN`
 * bytes, to `digest`: what a store of your own keeps of it, for `tk_key`.
 *
 * Thread safety: any thread.
 * Errors: TK_ERR_ENGINE, TK_ERR_FORKED, TK_ERR_NULL, TK_ERR_LENGTH.
 */
tk_result tk_key_digest(const tk_engine *engine, tk_bytes key, uint8_t *digest);

/**
 * Adds `count` sessions, or replaces those of the same tokens; all of them or
 * none. Every decision that starts after this returns sees them.
 *
 * Ownership: nothing is kept of what `sessions` points to; of a whole token
 * its digest is. Thread safety: any thread, also while others decide.
 * Errors, which leave all as it was: TK_ERR_ENGINE, TK_ERR_FORKED,
 * TK_ERR_NULL, TK_ERR_MISALIGNED, TK_ERR_STRUCT, TK_ERR_LENGTH, TK_ERR_UTF8,
 * TK_ERR_VALUE.
 */
tk_result tk_sessions_put(tk_engine *engine,
                          const tk_session *sessions,
                          size_t count);

/**
 * Mints a token of 43 characters from the system's random source, puts in its
 * session (whose `token` and `digest` must be nothing), and writes the token
 * to `space` with a NUL behind it: hand it to the user, then wipe it, for only
 * its digest is kept.
 *
 * Ownership: `space` is the caller's, `TK_TOKEN_SPACE` bytes suffice. Thread
 * safety: as `tk_sessions_put`.
 * Errors, which mint nothing: as `tk_sessions_put`; TK_ERR_SPACE where `space`
 * is too small, TK_ERR_SYSTEM where the system gives no random bytes.
 */
tk_result tk_session_mint(tk_engine *engine,
                          const tk_session *session,
                          char *space,
                          size_t space_len);

/**
 * Ends the session of a whole token. `was_there`, unless it is NULL, tells by
 * 1 or 0 whether there was one.
 *
 * Thread safety: any thread, also while others decide.
 * Errors: TK_ERR_ENGINE, TK_ERR_FORKED, TK_ERR_NULL, TK_ERR_LENGTH.
 */
tk_result tk_session_end(tk_engine *engine, tk_bytes token, uint8_t *was_there);

/**
 * Writes the digest of a whole session token under the engine's secret,
 * `TK_DIGEST_LEN` bytes, to `digest`: for `tk_session`. It is another than
 * that of a key of the same characters.
 *
 * Thread safety: any thread.
 * Errors: TK_ERR_ENGINE, TK_ERR_FORKED, TK_ERR_NULL, TK_ERR_LENGTH.
 */
tk_result tk_token_digest(const tk_engine *engine, tk_bytes token, uint8_t *digest);

/**
 * Follows a store of tokenkit, such as `tokenkit key` and `tokenkit serve`
 * keep: brings all its keys and sessions into the engine, then starts a thread
 * that brings every change within 100 ms of its commit. The store must have
 * been made under the engine's secret. `path` is the file, in UTF-8.
 *
 * This returns when all is loaded: for a million keys, after some seconds. Who
 * asks for `tk_metrics` meanwhile is told that no store is followed. The thread
 * ends with the engine; it blocks all signals but those of faults (SIGBUS,
 * SIGSEGV, SIGFPE, SIGILL), and calls `tk_engine_tidy` of itself. While the
 * store cannot be read, or its file was deleted or replaced, what is known
 * stays in force and it is tried again: `tk_metrics` and `tk_engine_trouble`
 * tell.
 *
 * A process that forks follows in its children alone: where a parent follows,
 * this is refused with TK_ERR_FORKED.
 *
 * Ownership: `path` is not kept. Thread safety: any thread, also while others
 * decide.
 * Errors: TK_ERR_ENGINE, TK_ERR_FORKED, TK_ERR_NULL, TK_ERR_LENGTH,
 * TK_ERR_UTF8; TK_ERR_STORE where there is no store, it cannot be read, or it
 * was made under another secret; TK_ERR_FULL where it holds more keys than
 * `max_keys`; TK_ERR_LEDGER where the ledger file has no place for one of them,
 * or was damaged; TK_ERR_DUPLICATE where the engine follows a store already, or
 * another call is about to make it; TK_ERR_SYSTEM where there is no memory or
 * no thread. After those that come while it is loaded the engine may hold a
 * part of it.
 */
tk_result tk_engine_follow(tk_engine *engine, tk_bytes path);

/**
 * Checks that an engine could follow a store: that it is there, can be read,
 * and was made under the engine's secret. It brings nothing into the engine and
 * starts nothing: for who checks a configuration, and decides in children that
 * are forked later.
 *
 * Ownership, thread safety: as `tk_engine_follow`.
 * Errors: TK_ERR_ENGINE, TK_ERR_FORKED, TK_ERR_NULL, TK_ERR_LENGTH,
 * TK_ERR_UTF8; TK_ERR_STORE where `tk_engine_follow` would answer so.
 */
tk_result tk_store_check(const tk_engine *engine, tk_bytes path);

/**
 * Writes to `trouble` what is wrong with what an engine stands on, for a log:
 * that its store cannot be followed at present, or that its ledger file was
 * damaged. Empty while all is well. The text lies in `space`; a longer one is
 * cut to it.
 *
 * Ownership: `space` is the caller's, `TK_SPACE` bytes are plenty. Thread
 * safety: any thread, also while others decide.
 * Errors, with each of which `trouble` stays as it was: TK_ERR_ENGINE,
 * TK_ERR_FORKED, TK_ERR_NULL, TK_ERR_MISALIGNED, TK_ERR_LENGTH; TK_ERR_SPACE
 * where there is none at all.
 */
tk_result tk_engine_trouble(const tk_engine *engine,
                            char *space,
                            size_t space_len,
                            tk_str *trouble);

/**
 * Reads the numbers of an engine into `metrics`, each at some moment of this
 * call. Reads the whole table of blocked addresses (about 0.1 ms): for a
 * scrape, not for each request.
 *
 * Thread safety: any thread, also while others decide.
 * Errors: TK_ERR_ENGINE, TK_ERR_FORKED, TK_ERR_NULL, TK_ERR_MISALIGNED;
 * TK_ERR_STRUCT where `metrics` was not set up.
 */
tk_result tk_metrics_read(const tk_engine *engine, tk_metrics *metrics);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#ifdef __cplusplus
extern "C" {
#endif

/** Bytes to lend. */
static inline tk_bytes tk_bytes_of(const void *data, size_t len) {
    tk_bytes bytes;
    bytes.data = data;
    bytes.len = len;
    return bytes;
}

/** A text that ends with a NUL, to lend; NULL is nothing at all. */
static inline tk_bytes tk_text(const char *text) {
    return tk_bytes_of(text, text == NULL ? 0 : strlen(text));
}

/** Sets up a configuration with all its defaults; a secret is still wanted. */
static inline void tk_config_init(tk_config *config) {
    memset(config, 0, sizeof *config);
    config->size = (uint32_t)sizeof *config;
    config->version = TK_CONFIG_VERSION;
}

/** Sets up a request that carries nothing and costs 1 unit; the client's address
 *  is still wanted. */
static inline void tk_request_init(tk_request *request) {
    memset(request, 0, sizeof *request);
    request->size = (uint32_t)sizeof *request;
    request->cost = 1;
}

/** Sets a request's client address from the 4 bytes of an in_addr. */
static inline void tk_request_ipv4(tk_request *request, const void *address) {
    memcpy(request->client, address, 4);
    request->client_len = 4;
}

/** Sets a request's client address from the 16 bytes of an in6_addr. */
static inline void tk_request_ipv6(tk_request *request, const void *address) {
    memcpy(request->client, address, 16);
    request->client_len = 16;
}

/** Sets up an active key without limit, expiry or lists; its secret (or id and
 *  digest) and its project are still wanted. */
static inline void tk_key_init(tk_key *key) {
    memset(key, 0, sizeof *key);
    key->size = (uint32_t)sizeof *key;
    key->state = TK_STATE_ACTIVE;
    key->hourly_limit = TK_UNLIMITED;
    key->expires_at = TK_NEVER;
}

/** Sets up a session without expiry; its token (or digest), project and user are
 *  still wanted. */
static inline void tk_session_init(tk_session *session) {
    memset(session, 0, sizeof *session);
    session->size = (uint32_t)sizeof *session;
    session->expires_at = TK_NEVER;
}

/** Sets up metrics to be read into. */
static inline void tk_metrics_init(tk_metrics *metrics) {
    memset(metrics, 0, sizeof *metrics);
    metrics->size = (uint32_t)sizeof *metrics;
}

#ifdef __cplusplus
}
#endif

#endif /* TOKENKIT_H */
