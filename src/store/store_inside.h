/* What the store shows to its readers (history, verify) and to nobody else. */
#ifndef STORE_INSIDE_H
#define STORE_INSIDE_H

#include "store/catalog.h"
#include "store/trail.h"
#include "tidemark/store.h"

const char *store_path(const struct store *s);
struct catalog *store_catalog(const struct store *s);
struct trail *store_trail(const struct store *s);

#endif
