/* The profiles that the server has. */
#ifndef APP_PROFILES_H
#define APP_PROFILES_H

#include "profiles/profile.h"

enum { PROFILES_MAX = 8 };

/* Ends with NULL; made by CMake of TIDEMARK_PROFILES (cmake/profiles.cmake). */
extern const struct profile *const profiles[];

#endif
