/*
 * The budget and what browsers want, on answers to requests that were let in.
 * Refusals carry theirs already.
 */

#include "ngx_http_tokenkit.h"


/* The filter after this one: nginx chains them so. */
static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;


static ngx_int_t
tokenkit_header_filter(ngx_http_request_t *r)
{
    char                 space[TK_SPACE];
    tk_answer            answer;
    tokenkit_verdict_t  *verdict;

    verdict = (r == r->main) ? tokenkit_verdict(r) : NULL;

    if (verdict == NULL || !tokenkit_is_allowed(verdict)) {
        return ngx_http_next_header_filter(r);
    }

    if (tk_render(tokenkit_engine(r), &verdict->decision,
                  verdict->request.origin, space, TK_SPACE, &answer)
        != TK_OK)
    {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "tokenkit: %s", tk_last_error());
        return NGX_ERROR;
    }

    if (tokenkit_put_all(r, &answer) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_http_next_header_filter(r);
}


void
tokenkit_add_header_filter(void)
{
    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = tokenkit_header_filter;
}
