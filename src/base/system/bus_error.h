/* SIGBUS: a file that is mapped into memory cannot be read or written there. The kernel has no other way to say so. */
#ifndef BASE_SYSTEM_BUS_ERROR_H
#define BASE_SYSTEM_BUS_ERROR_H

/* From now on the process then ends with status 1 and a message that names the file and the reason, instead of a core dump.
 * For the whole process; what is no mapped file stays a SIGBUS. */
void bus_error_explain(void);

#endif
