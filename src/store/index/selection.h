/* A filter applied to a catalog: the topics that pass it. Names are compared once per topic, not once per event, and
 * topics that appear later are picked up by `selection_refresh`. Owned and used by one thread at a time. */
#ifndef STORE_INDEX_SELECTION_H
#define STORE_INDEX_SELECTION_H

#include <stdbool.h>
#include <stdint.h>

#include "event/filter.h"
#include "store/index/catalog.h"

struct selection;

/* Takes the filter, also on failure (NULL). */
struct selection *selection_create_take(struct filter *f, struct catalog *c);
void selection_destroy(struct selection *s);

/* Does every event pass? */
bool selection_is_open(const struct selection *s);
/* Does every topic pass? Then only conditions on payloads decide. */
bool selection_is_wide(const struct selection *s);
/* The conditions on payloads, borrowed; NULL: none. */
struct where *selection_where(const struct selection *s);
/* Adds new topics that pass, and drops forgotten ones. After ERR_NOMEM call it again. */
enum err selection_refresh(struct selection *s);
bool selection_has(const struct selection *s, uint32_t topic);
/* The topics that pass, ascending. Not if the selection is wide. */
uint32_t selection_count(const struct selection *s);
uint32_t selection_topic(const struct selection *s, uint32_t index);
/* Would a topic with these names pass? */
bool selection_fits(const struct selection *s, struct slice stream, struct slice type);

#endif
