/* The profiles that the server has. */
#ifndef APP_PROFILES_H
#define APP_PROFILES_H

#include "profiles/profile.h"

enum { PROFILES_MAX = 8 };

/* Ends with NULL. */
extern const struct profile *const profiles[];

/* Before anything else, of every command. */
void profiles_declare(void);

#endif
