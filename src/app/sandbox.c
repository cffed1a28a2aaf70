#include "app/sandbox.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

/* A list of system calls that are refused, not of those that are allowed: the C library may use other calls in the
 * future. */
static const char *const refused[] = {
	/* programs and processes */
	"execve",
	"execveat",
	"fork",
	"vfork",
	"ptrace",
	"process_vm_readv",
	"process_vm_writev",
	"pidfd_getfd",
	"kcmp",
	/* credentials */
	"setuid",
	"setgid",
	"setreuid",
	"setregid",
	"setresuid",
	"setresgid",
	"setgroups",
	"setfsuid",
	"setfsgid",
	"capset",
	/* file systems and namespaces */
	"mount",
	"umount",
	"umount2",
	"pivot_root",
	"chroot",
	"unshare",
	"setns",
	"open_by_handle_at",
	"move_mount",
	"fsopen",
	"fsconfig",
	"fsmount",
	"open_tree",
	"swapon",
	"swapoff",
	"quotactl",
	"mknod",
	"mknodat",
	/* the machine */
	"init_module",
	"finit_module",
	"delete_module",
	"kexec_load",
	"kexec_file_load",
	"reboot",
	"settimeofday",
	"clock_settime",
	"adjtimex",
	"clock_adjtime",
	"sethostname",
	"setdomainname",
	"acct",
	"syslog",
	"iopl",
	"ioperm",
	/* kernel interfaces that nothing here needs */
	"bpf",
	"perf_event_open",
	"userfaultfd",
	"keyctl",
	"add_key",
	"request_key",
	"io_uring_setup",
	"io_uring_enter",
	"io_uring_register",
	"personality",
	"modify_ldt",
	"vmsplice",
	"lookup_dcookie",
};

static int refuse(scmp_filter_ctx filter, const char *name)
{
	int number = seccomp_syscall_resolve_name(name);
	if (number == __NR_SCMP_ERROR)
		return 0; /* this architecture does not have the call */
	return seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), number, 0);
}

/* Threads share the address space; a clone that does not is a new process. */
static int refuse_processes(scmp_filter_ctx filter)
{
	struct scmp_arg_cmp no_thread = {0, SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0};
	int rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1, no_thread);
	/* The flags of clone3 are in memory, which a filter cannot read; refused, the C library uses clone. */
	return rc == 0 ? seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) : rc;
}

/* All families above AF_INET6, and those between AF_INET and AF_INET6. */
static int refuse_sockets(scmp_filter_ctx filter)
{
	struct scmp_arg_cmp other = {0, SCMP_CMP_GT, AF_INET6, 0};
	int rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 1, other);
	other.op = SCMP_CMP_EQ;
	for (other.datum_a = AF_INET + 1; rc == 0 && other.datum_a < AF_INET6; other.datum_a++)
		rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 1, other);
	return rc;
}

enum err sandbox_enter(struct fault *fault)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int rc = filter != NULL ? seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1) : -ENOMEM;
	for (size_t i = 0; rc == 0 && i < sizeof refused / sizeof *refused; i++)
		rc = refuse(filter, refused[i]);
	if (rc == 0)
		rc = refuse_processes(filter);
	if (rc == 0)
		rc = refuse_sockets(filter);
	if (rc == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		rc = -errno;
	if (rc == 0)
		rc = seccomp_load(filter);
	seccomp_release(filter);
	return rc == 0 ? ERR_NONE : fault_set(fault, ERR_IO, "--seccomp: cannot set the filter: %s", strerror(-rc));
}
