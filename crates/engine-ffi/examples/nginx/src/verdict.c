/*
 * What was decided about a request, kept for as long as the request lives.
 *
 * nginx forgets a module's context at every internal redirect (try_files,
 * error_page, index, X-Accel-Redirect). Were the verdict forgotten with it, the
 * request would be charged once more. So it also hangs on the request's pool,
 * where it is found again.
 */

#include "ngx_http_tokenkit.h"


static void tokenkit_verdict_ends(void *data);


tokenkit_verdict_t *
tokenkit_verdict(ngx_http_request_t *r)
{
    tokenkit_verdict_t  *verdict;
    ngx_pool_cleanup_t  *cleanup;

    /* A subrequest is part of what its main request was admitted for. */
    r = r->main;

    verdict = ngx_http_get_module_ctx(r, ngx_http_tokenkit_module);

    if (verdict || !(r->internal || r->filter_finalize)) {
        return verdict;
    }

    for (cleanup = r->pool->cleanup; cleanup; cleanup = cleanup->next) {
        if (cleanup->handler == tokenkit_verdict_ends) {
            ngx_http_set_ctx(r, cleanup->data, ngx_http_tokenkit_module);
            return cleanup->data;
        }
    }

    return NULL;
}


tokenkit_verdict_t *
tokenkit_verdict_new(ngx_http_request_t *r)
{
    tokenkit_verdict_t  *verdict;
    ngx_pool_cleanup_t  *cleanup;

    cleanup = ngx_pool_cleanup_add(r->pool, sizeof(tokenkit_verdict_t));
    if (cleanup == NULL) {
        return NULL;
    }

    verdict = cleanup->data;
    ngx_memzero(verdict, sizeof(tokenkit_verdict_t));
    cleanup->handler = tokenkit_verdict_ends;
    ngx_http_set_ctx(r, verdict, ngx_http_tokenkit_module);

    return verdict;
}


ngx_uint_t
tokenkit_is_allowed(const tokenkit_verdict_t *verdict)
{
    return verdict->decision.reason == TK_REASON_ALLOWED;
}


/* The mark by which a verdict is found; its memory is the pool's. */
static void
tokenkit_verdict_ends(void *data)
{
    ((tokenkit_verdict_t *) data)->decision.reason = TK_REASON_NONE;
}
