/*
 * Puts what the library renders into the headers of an answer, nginx's own or
 * that of the service behind.
 *
 * What the service said under the same name gives way, so that none stands
 * twice; the two that are lists of names are joined to what it said.
 */

#include "ngx_http_tokenkit.h"


static ngx_int_t tokenkit_put(ngx_http_request_t *r, const tk_header *header);
static void tokenkit_drop(ngx_http_request_t *r, const tk_str *name);
static ngx_uint_t tokenkit_is_listed(ngx_http_request_t *r,
    const tk_header *header);
static ngx_uint_t tokenkit_has_item(ngx_str_t list, const tk_str *wanted);
static ngx_uint_t tokenkit_is(const tk_str *name, const char *other);
static ngx_uint_t tokenkit_is_named(const ngx_table_elt_t *header,
    const tk_str *name);


ngx_int_t
tokenkit_put_all(ngx_http_request_t *r, const tk_answer *answer)
{
    uint32_t          i;
    const tk_header  *header;

    for (i = 0; i < answer->header_count; i++) {

        header = &answer->headers[i];

        if (tokenkit_is(&header->name, "vary")) {
            if (tokenkit_is_listed(r, header)) {
                continue;
            }

        } else if (!tokenkit_is(&header->name, "access-control-expose-headers"))
        {
            tokenkit_drop(r, &header->name);
        }

        if (tokenkit_put(r, header) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
tokenkit_put(ngx_http_request_t *r, const tk_header *header)
{
    ngx_table_elt_t  *put;

    put = tokenkit_push(r, &r->headers_out.headers, header);
    if (put == NULL) {
        return NGX_ERROR;
    }

    put->hash = 1;

    if (tokenkit_is(&header->name, "www-authenticate")) {
        r->headers_out.www_authenticate = put;
    }

    return NGX_OK;
}


ngx_table_elt_t *
tokenkit_push(ngx_http_request_t *r, ngx_list_t *headers,
    const tk_header *header)
{
    u_char           *text;
    ngx_table_elt_t  *pushed;

    text = ngx_pnalloc(r->pool, header->name.len + header->value.len);
    pushed = ngx_list_push(headers);

    if (text == NULL || pushed == NULL) {
        return NULL;
    }

    ngx_memzero(pushed, sizeof(ngx_table_elt_t));

    pushed->key.data = text;
    pushed->key.len = header->name.len;
    pushed->lowcase_key = text;
    pushed->value.data = ngx_cpymem(text, header->name.data, header->name.len);
    pushed->value.len = header->value.len;
    ngx_memcpy(pushed->value.data, header->value.data, header->value.len);

    return pushed;
}


/* nginx does not send a header whose hash is 0. */
static void
tokenkit_drop(ngx_http_request_t *r, const tk_str *name)
{
    ngx_table_elt_t  *header;
    tokenkit_walk_t   walk;

    tokenkit_walk(&walk, &r->headers_out.headers.part);

    while ((header = tokenkit_next(&walk)) != NULL) {
        if (tokenkit_is_named(header, name)) {
            header->hash = 0;
        }
    }
}


/* Whether a header that is a list of names has one of them already, or "*". */
static ngx_uint_t
tokenkit_is_listed(ngx_http_request_t *r, const tk_header *wanted)
{
    ngx_table_elt_t  *header;
    tokenkit_walk_t   walk;

    tokenkit_walk(&walk, &r->headers_out.headers.part);

    while ((header = tokenkit_next(&walk)) != NULL) {
        if (header->hash
            && tokenkit_is_named(header, &wanted->name)
            && tokenkit_has_item(header->value, &wanted->value))
        {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
tokenkit_has_item(ngx_str_t list, const tk_str *wanted)
{
    size_t  len;
    u_char  *p, *end, *item;

    end = list.data + list.len;

    for (p = list.data; p < end; p++) {

        while (p < end && (*p == ' ' || *p == '\t')) {
            p++;
        }

        for (item = p; p < end && *p != ','; p++) { /* void */ }

        len = p - item;

        while (len && (item[len - 1] == ' ' || item[len - 1] == '\t')) {
            len--;
        }

        if ((len == 1 && *item == '*')
            || (len == wanted->len
                && ngx_strncasecmp(item, (u_char *) wanted->data, len) == 0))
        {
            return 1;
        }
    }

    return 0;
}


static ngx_uint_t
tokenkit_is(const tk_str *name, const char *other)
{
    /* What the library hands out ends with a NUL, and is in lower case. */
    return ngx_strcmp(name->data, other) == 0;
}


static ngx_uint_t
tokenkit_is_named(const ngx_table_elt_t *header, const tk_str *name)
{
    return header->key.len == name->len
           && ngx_strncasecmp(header->key.data, (u_char *) name->data,
                              name->len) == 0;
}
