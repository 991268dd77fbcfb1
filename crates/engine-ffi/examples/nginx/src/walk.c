/*
 * The walk through one of nginx's lists of headers, which lies in parts.
 */

#include "ngx_http_tokenkit.h"


void
tokenkit_walk(tokenkit_walk_t *walk, ngx_list_part_t *part)
{
    walk->part = part;
    walk->next = 0;
}


ngx_table_elt_t *
tokenkit_next(tokenkit_walk_t *walk)
{
    ngx_table_elt_t  *headers;

    while (walk->next >= walk->part->nelts) {

        if (walk->part->next == NULL) {
            return NULL;
        }

        walk->part = walk->part->next;
        walk->next = 0;
    }

    headers = walk->part->elts;

    return &headers[walk->next++];
}
