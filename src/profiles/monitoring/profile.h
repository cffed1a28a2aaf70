/* The monitoring profile: the protocol of the Python monitoring hub's dashboards and services. */
#ifndef PROFILES_MONITORING_PROFILE_H
#define PROFILES_MONITORING_PROFILE_H

#include "profiles/profile.h"

extern const struct profile monitoring_profile;

#endif
