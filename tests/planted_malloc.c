/* A trader that can be told to call malloc for every message: what tests/test_no_allocation.py must catch. */
#include <stdlib.h>
#include "fixwire.h"

struct state { int64_t orders, warm_up, planted, sent, fills; void (*look)(void); };

static const fixwire_api *fw;
static void *(*volatile allocate)(size_t) = malloc;     /* through a pointer, or the pair is optimised away */

void init(const fixwire_api *api) { fw = api; }

void on_logon(void *ctx, void *session, uint64_t now_ns) {
    ((struct state *)ctx)->sent++;
    fw->limit_order(session, "FIXW", 4, '1', 100, 9950000000, 0, now_ns);
}

void on_message(void *ctx, void *session, void *msg, uint64_t now_ns) {
    struct state *s = ctx;
    (void)msg;
    if (s->planted)
        free(allocate(64));
    s->fills++;
    if (s->fills == s->warm_up || s->fills == s->orders)
        s->look();
    if (s->sent == s->orders) {
        fw->stop(session);
        return;
    }
    s->sent++;
    fw->limit_order(session, "FIXW", 4, s->sent % 2 ? '1' : '2', 100 + s->sent % 7, 9950000000 + s->sent, 0, now_ns);
}
