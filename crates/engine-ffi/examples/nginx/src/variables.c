/*
 * $tokenkit_*: what was decided, for logs, maps and the requests that go on.
 *
 * None is cached, for it may be asked for before the decision; and none can be
 * set, so that what stands in $tokenkit_key is the truth.
 */

#include "ngx_http_tokenkit.h"


static ngx_int_t tokenkit_text(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t offset);
static ngx_int_t tokenkit_seconds(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t offset);
static ngx_int_t tokenkit_units(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t offset);
static ngx_int_t tokenkit_told(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uint64_t number);


static const ngx_http_variable_t  tokenkit_variables[] = {

    { ngx_string("tokenkit_reason"), NULL, tokenkit_text,
      offsetof(tokenkit_verdict_t, reason),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("tokenkit_key"), NULL, tokenkit_text,
      offsetof(tokenkit_verdict_t, key),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("tokenkit_project"), NULL, tokenkit_text,
      offsetof(tokenkit_verdict_t, project),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("tokenkit_user"), NULL, tokenkit_text,
      offsetof(tokenkit_verdict_t, user),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("tokenkit_limit"), NULL, tokenkit_units,
      offsetof(tk_decision, limit),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("tokenkit_remaining"), NULL, tokenkit_units,
      offsetof(tk_decision, remaining),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("tokenkit_reset"), NULL, tokenkit_seconds,
      offsetof(tk_decision, reset_s),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("tokenkit_retry_after"), NULL, tokenkit_seconds,
      offsetof(tk_decision, retry_after_s),
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


ngx_int_t
tokenkit_add_variables(ngx_conf_t *cf)
{
    ngx_str_t                   name;
    ngx_http_variable_t        *added;
    const ngx_http_variable_t  *v;

    for (v = tokenkit_variables; v->name.len; v++) {
        name = v->name;

        added = ngx_http_add_variable(cf, &name, v->flags);
        if (added == NULL) {
            return NGX_ERROR;
        }

        added->get_handler = v->get_handler;
        added->data = v->data;
    }

    return NGX_OK;
}


static ngx_int_t
tokenkit_text(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t offset)
{
    ngx_str_t           *text;
    tokenkit_verdict_t  *verdict;

    verdict = tokenkit_verdict(r);

    if (verdict == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    text = (ngx_str_t *) ((char *) verdict + offset);

    if (text->len == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    v->data = text->data;
    v->len = text->len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}


/* Units, of which 0 may be left; none where no budget is told. */
static ngx_int_t
tokenkit_units(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t offset)
{
    tokenkit_verdict_t  *verdict;

    verdict = tokenkit_verdict(r);

    if (verdict == NULL || verdict->decision.reset_s == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    return tokenkit_told(r, v,
                         *(uint64_t *) ((char *) &verdict->decision + offset));
}


/* Seconds, 0 of which stand for none. */
static ngx_int_t
tokenkit_seconds(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uintptr_t offset)
{
    uint32_t             seconds;
    tokenkit_verdict_t  *verdict;

    verdict = tokenkit_verdict(r);
    seconds = verdict ? *(uint32_t *) ((char *) &verdict->decision + offset)
                      : 0;

    if (seconds == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    return tokenkit_told(r, v, seconds);
}


static ngx_int_t
tokenkit_told(ngx_http_request_t *r, ngx_http_variable_value_t *v,
    uint64_t number)
{
    v->data = ngx_pnalloc(r->pool, NGX_INT64_LEN);
    if (v->data == NULL) {
        return NGX_ERROR;
    }

    v->len = ngx_sprintf(v->data, "%uL", number) - v->data;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;

    return NGX_OK;
}
