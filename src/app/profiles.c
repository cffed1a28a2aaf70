#include "app/profiles.h"

#include "profiles/monitoring/profile.h"

const struct profile *const profiles[PROFILES_MAX + 1] = {&monitoring_profile};

void profiles_declare(void)
{
	for (int i = 0; profiles[i] != NULL; i++)
		if (profiles[i]->declare != NULL)
			profiles[i]->declare();
}
