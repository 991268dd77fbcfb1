/*
 * Asks the library about a request, and makes the texts of its verdict ready
 * for variables.
 *
 * Fails closed: a decision that could not be made denies, and is answered 503.
 */

#include "ngx_http_tokenkit.h"


/* Room for the name of any project. */
#define TOKENKIT_PROJECT_SPACE  65


static ngx_str_t tokenkit_str(const char *text);


ngx_int_t
tokenkit_decide(ngx_http_request_t *r, tokenkit_verdict_t *verdict,
    ngx_uint_t needs_user, ngx_uint_t cost)
{
    u_char     *space;
    tk_str      project;
    tk_engine  *engine;

    verdict->request.needs_user = needs_user ? 1 : 0;
    verdict->request.cost = (uint32_t) cost;

    engine = tokenkit_engine(r);

    if (tk_decide(engine, &verdict->request, &verdict->decision) != TK_OK) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "tokenkit denies what it cannot decide: %s",
                      tk_last_error());
    }

    verdict->reason = tokenkit_str(tk_reason_name(verdict->decision.reason));
    verdict->key = tokenkit_str(verdict->decision.key_id);
    verdict->user = tokenkit_str(verdict->decision.user);
    ngx_str_null(&verdict->project);

    if (verdict->decision.project == 0) {
        return NGX_OK;
    }

    space = ngx_pnalloc(r->pool, TOKENKIT_PROJECT_SPACE);
    if (space == NULL) {
        return NGX_ERROR;
    }

    if (tk_project(engine, &verdict->decision, (char *) space,
                   TOKENKIT_PROJECT_SPACE, &project)
        == TK_OK)
    {
        verdict->project.data = (u_char *) project.data;
        verdict->project.len = project.len;
    }

    return NGX_OK;
}


static ngx_str_t
tokenkit_str(const char *text)
{
    ngx_str_t  str;

    str.data = (u_char *) text;
    str.len = ngx_strlen(text);

    return str;
}
