/*
 * The way of a request: a preflight or a refusal is answered, what is admitted
 * goes on with its identity.
 *
 * In the phase after all access checks, so that only what those let through is
 * charged, and "satisfy any" never lets a request past its key.
 *
 * Fails closed: whatever goes wrong here ends the request.
 */

#include "ngx_http_tokenkit.h"


static ngx_int_t tokenkit_unasked(ngx_http_request_t *r);
static ngx_int_t tokenkit_again(ngx_http_request_t *r,
    tokenkit_verdict_t *verdict, tokenkit_loc_conf_t *tklcf);
static ngx_int_t tokenkit_judge(ngx_http_request_t *r,
    tokenkit_verdict_t *verdict, tokenkit_loc_conf_t *tklcf, ngx_uint_t cost);


ngx_int_t
tokenkit_handler(ngx_http_request_t *r)
{
    tk_request            request;
    tokenkit_verdict_t   *verdict;
    tokenkit_loc_conf_t  *tklcf;
    tokenkit_preflight_t  preflight;

    tklcf = ngx_http_get_module_loc_conf(r, ngx_http_tokenkit_module);
    verdict = tokenkit_verdict(r);

    if (verdict) {
        return tokenkit_again(r, verdict, tklcf);
    }

    if (!tklcf->enable || r != r->main) {
        return tokenkit_unasked(r);
    }

    if (tokenkit_read_request(r, &request) != NGX_OK) {
        return NGX_ERROR;
    }

    if (tokenkit_read_preflight(r, &request, &preflight)) {
        return tokenkit_answer_preflight(r, &request, &preflight);
    }

    if (request.client_len == 0) {
        return tokenkit_answer_nobody(r);
    }

    verdict = tokenkit_verdict_new(r);
    if (verdict == NULL) {
        return NGX_ERROR;
    }

    verdict->request = request;

    return tokenkit_judge(r, verdict, tklcf, tklcf->cost);
}


/*
 * No decision is wanted here, or none of a subrequest, for which nginx makes
 * none of its access checks. Yet the service behind may believe the identity
 * headers of whatever comes from this nginx.
 */
static ngx_int_t
tokenkit_unasked(ngx_http_request_t *r)
{
    if (tokenkit_cleanse(r, TOKENKIT_HIDE_IDENTITY) != NGX_OK) {
        return NGX_ERROR;
    }

    return NGX_DECLINED;
}


/*
 * A redirect within nginx, or a subrequest. What was charged is charged; but a
 * place that wants a user is not reached without one, nor does the key go to
 * one that did not ask for it, whatever the places before have asked for.
 */
static ngx_int_t
tokenkit_again(ngx_http_request_t *r, tokenkit_verdict_t *verdict,
    tokenkit_loc_conf_t *tklcf)
{
    if (!tklcf->forward_key
        && tokenkit_cleanse(r, TOKENKIT_HIDE_KEY_ALONE) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (r != r->main || !tklcf->enable) {
        return NGX_DECLINED;
    }

    if (!tokenkit_is_allowed(verdict)) {
        return NGX_HTTP_FORBIDDEN;
    }

    if (tklcf->needs_user && verdict->user.len == 0) {
        return tokenkit_judge(r, verdict, tklcf, 0);
    }

    return NGX_DECLINED;
}


static ngx_int_t
tokenkit_judge(ngx_http_request_t *r, tokenkit_verdict_t *verdict,
    tokenkit_loc_conf_t *tklcf, ngx_uint_t cost)
{
    tokenkit_hide_t  hide;

    hide = tklcf->forward_key ? TOKENKIT_HIDE_LOOKALIKES : TOKENKIT_HIDE_KEY;

    /* Of a refused request too: a log may hold $http_api_key. */
    if (tokenkit_cleanse(r, hide) != NGX_OK
        || tokenkit_decide(r, verdict, tklcf->needs_user, cost) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (!tokenkit_is_allowed(verdict)) {
        return tokenkit_refuse(r, verdict);
    }

    if (tokenkit_identify(r, verdict) != NGX_OK) {
        return NGX_ERROR;
    }

    return NGX_DECLINED;
}
