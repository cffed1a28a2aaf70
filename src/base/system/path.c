#include "base/system/path.h"

#include <stdarg.h>
#include <stdio.h>

bool path_format(char out[PATH_MAX], const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int len = vsnprintf(out, PATH_MAX, format, args);
	va_end(args);
	bool fits = len >= 0 && len < PATH_MAX;
	if (!fits)
		out[0] = '\0';
	return fits;
}
