/*
 * Who it is, for the service behind, in headers that no client can forge.
 *
 * The list of headers is made anew rather than changed in place: nginx itself
 * and its modules keep pointers into the old one, which stays as it was.
 */

#include "ngx_http_tokenkit.h"


static ngx_uint_t tokenkit_hides(const ngx_str_t *name, tokenkit_hide_t hide);
static ngx_int_t tokenkit_tell(ngx_http_request_t *r,
    const tk_header *header);


ngx_int_t
tokenkit_cleanse(ngx_http_request_t *r, tokenkit_hide_t hide)
{
    ngx_uint_t        n, first;
    ngx_list_part_t   old, *part;
    ngx_table_elt_t  *header, *copy;
    tokenkit_walk_t   walk;

    first = 0;
    tokenkit_walk(&walk, &r->headers_in.headers.part);

    for ( ;; ) {
        header = tokenkit_next(&walk);

        if (header == NULL) {
            return NGX_OK;
        }

        if (tokenkit_hides(&header->key, hide)) {
            break;
        }

        first++;
    }

    old = r->headers_in.headers.part;

    /* With room for the identity. */
    for (n = 3, part = &old; part; part = part->next) {
        n += part->nelts;
    }

    if (ngx_list_init(&r->headers_in.headers, r->pool, n,
                      sizeof(ngx_table_elt_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    tokenkit_walk(&walk, &old);

    for (n = 0; (header = tokenkit_next(&walk)) != NULL; n++) {

        if (n == first || (n > first && tokenkit_hides(&header->key, hide))) {
            continue;
        }

        copy = ngx_list_push(&r->headers_in.headers);
        if (copy == NULL) {
            return NGX_ERROR;
        }

        *copy = *header;
    }

    return NGX_OK;
}


/* The library knows the names; they begin with two different letters. */
static ngx_uint_t
tokenkit_hides(const ngx_str_t *name, tokenkit_hide_t hide)
{
    ngx_uint_t  is_key;

    if (!tk_header_is_reserved(tokenkit_bytes(*name))) {
        return 0;
    }

    is_key = (name->data[0] | 0x20) == 'a';

    switch (hide) {

    case TOKENKIT_HIDE_IDENTITY:
        return !is_key;

    case TOKENKIT_HIDE_LOOKALIKES:
        /* Under another sign than its own nobody looked at the key. */
        return !is_key || name->data[sizeof("api") - 1] != '-';

    case TOKENKIT_HIDE_KEY_ALONE:
        return is_key;

    default:
        return 1;
    }
}


ngx_int_t
tokenkit_identify(ngx_http_request_t *r, tokenkit_verdict_t *verdict)
{
    char       space[TK_SPACE];
    uint32_t   i;
    tk_answer  identity;

    if (tk_identity(tokenkit_engine(r), &verdict->decision, space, TK_SPACE,
                    &identity)
        != TK_OK)
    {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "tokenkit: %s", tk_last_error());
        return NGX_ERROR;
    }

    for (i = 0; i < identity.header_count; i++) {
        if (tokenkit_tell(r, &identity.headers[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
tokenkit_tell(ngx_http_request_t *r, const tk_header *header)
{
    ngx_table_elt_t  *told;

    told = tokenkit_push(r, &r->headers_in.headers, header);
    if (told == NULL) {
        return NGX_ERROR;
    }

    told->hash = ngx_hash_key(told->key.data, told->key.len);

    return NGX_OK;
}
