/*
 * The answers that this nginx gives itself: refusals and those to preflights,
 * as the library renders them.
 *
 * They are whole, so no error_page takes their place, as none does with
 * "return 401 text".
 */

#include "ngx_http_tokenkit.h"


/* As the proxy of tokenkit answers where nobody knows the client's address. */
#define TOKENKIT_NOBODY                                                       \
    "{\"type\":\"about:blank\",\"title\":\"Internal Server Error\","          \
    "\"status\":500,"                                                         \
    "\"detail\":\"The server does not know this client's address.\","         \
    "\"reason\":\"no_client_address\"}"


static ngx_int_t tokenkit_answer(ngx_http_request_t *r,
    const tk_answer *answer);
static ngx_int_t tokenkit_send(ngx_http_request_t *r, const tk_answer *answer);


ngx_int_t
tokenkit_refuse(ngx_http_request_t *r, tokenkit_verdict_t *verdict)
{
    char       space[TK_SPACE];
    tk_answer  answer;

    /* Where it fails, the answer is a 503. */
    (void) tk_render(tokenkit_engine(r), &verdict->decision,
                     verdict->request.origin, space, TK_SPACE, &answer);

    return tokenkit_answer(r, &answer);
}


ngx_int_t
tokenkit_answer_preflight(ngx_http_request_t *r, const tk_request *request,
    const tokenkit_preflight_t *preflight)
{
    char       *space;
    size_t      len;
    tk_bytes    origin;
    tk_answer   answer;

    /* Both are echoed. */
    len = TK_SPACE + request->origin.len + preflight->method.len;

    space = ngx_pnalloc(r->pool, len);
    if (space == NULL) {
        return NGX_ERROR;
    }

    origin = request->origin;

    if (request->origin_repeated) {
        /* No origin that anybody lists. */
        origin.len = 0;
    }

    (void) tk_preflight(tokenkit_engine(r), origin,
                        tokenkit_bytes(preflight->method),
                        tokenkit_bytes(preflight->headers),
                        space, len, &answer);

    return tokenkit_answer(r, &answer);
}


ngx_int_t
tokenkit_answer_nobody(ngx_http_request_t *r)
{
    tk_answer  answer;

    ngx_memzero(&answer, sizeof(tk_answer));

    answer.status = NGX_HTTP_INTERNAL_SERVER_ERROR;
    answer.headers[0].name.data = "cache-control";
    answer.headers[0].name.len = sizeof("cache-control") - 1;
    answer.headers[0].value.data = "no-store";
    answer.headers[0].value.len = sizeof("no-store") - 1;
    answer.header_count = 1;
    answer.content_type.data = "application/problem+json";
    answer.content_type.len = sizeof("application/problem+json") - 1;
    answer.body.data = TOKENKIT_NOBODY;
    answer.body.len = sizeof(TOKENKIT_NOBODY) - 1;

    return tokenkit_answer(r, &answer);
}


/* Ends the request; what comes after in its phases is not asked. */
static ngx_int_t
tokenkit_answer(ngx_http_request_t *r, const tk_answer *answer)
{
    ngx_int_t  rc;

    rc = ngx_http_discard_request_body(r);

    if (rc == NGX_OK) {
        rc = tokenkit_send(r, answer);
    }

    ngx_http_finalize_request(r, rc);

    return NGX_DONE;
}


static ngx_int_t
tokenkit_send(ngx_http_request_t *r, const tk_answer *answer)
{
    u_char       *text;
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t   out;

    /* Not that of the error whose page is refused here. */
    r->err_status = 0;
    r->headers_out.status = answer->status;
    r->headers_out.content_length_n = answer->body.len;

    if (tokenkit_put_all(r, answer) != NGX_OK) {
        return NGX_ERROR;
    }

    if (answer->body.len == 0) {
        r->header_only = 1;
        return ngx_http_send_header(r);
    }

    text = ngx_pnalloc(r->pool, answer->content_type.len + answer->body.len);
    b = ngx_calloc_buf(r->pool);

    if (text == NULL || b == NULL) {
        return NGX_ERROR;
    }

    r->headers_out.content_type.data = text;
    r->headers_out.content_type.len = answer->content_type.len;
    r->headers_out.content_type_len = answer->content_type.len;
    r->headers_out.content_type_lowcase = NULL;

    b->pos = ngx_cpymem(text, answer->content_type.data,
                        answer->content_type.len);
    b->last = ngx_cpymem(b->pos, answer->body.data, answer->body.len);
    b->memory = 1;
    b->last_buf = 1;
    b->last_in_chain = 1;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}
