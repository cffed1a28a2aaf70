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

/* Everything passes: nothing else needs to be asked. */
bool selection_is_open(const struct selection *s);
/* Every topic passes, and what its payload has to fulfil decides. */
bool selection_is_wide(const struct selection *s);
/* What payloads have to fulfil, borrowed; NULL: nothing. */
struct where *selection_where(const struct selection *s);
/* Looks at the topics that are new since the last time, and drops what was forgotten. ERR_NOMEM leaves it as it was. */
enum err selection_refresh(struct selection *s);
bool selection_has(const struct selection *s, uint32_t topic);
/* The topics that pass, ascending. Not where all do. */
uint32_t selection_count(const struct selection *s);
uint32_t selection_topic(const struct selection *s, uint32_t index);
/* Does a topic of these names pass? */
bool selection_fits(const struct selection *s, struct slice stream, struct slice type);

#endif
