/* The monitoring profile: what the Python monitoring hub's dashboards and services speak. */
#ifndef PROFILES_MONITORING_PROFILE_H
#define PROFILES_MONITORING_PROFILE_H

#include "profiles/profile.h"

extern const struct profile monitoring_profile;

#endif
