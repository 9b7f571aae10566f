/* Tries system calls and says for each what the kernel answered: 0, or the number of the error. For the engine's sandbox only:
   as root outside of it these calls would change the machine, so it refuses to run where /models is not. */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TRY(name, ...)                                                                                                 \
    do {                                                                                                               \
        errno = 0;                                                                                                     \
        long answer = syscall(__VA_ARGS__);                                                                            \
        printf("%s %d\n", name, answer < 0 ? errno : 0);                                                               \
    } while (0)

int main(int argc, char **argv)
{
    char page[64] = {0};
    if (access("/models/probe", F_OK) != 0 || access("/home", F_OK) == 0) {
        return 2;
    }
    (void)argv;
    TRY("socket-inet", SYS_socket, 2, 1, 0);
    TRY("keyctl", SYS_keyctl, 0, -3, 0, 0, 0);
    TRY("personality", SYS_personality, 0xffffffff);
    TRY("symlink", SYS_symlinkat, "x", -100, "/tmp/link");
    TRY("socket-unix", SYS_socket, 1, 1, 0);
    TRY("getpid", SYS_getpid);
    if (argc > 1) {
        return 0; /* what follows would work without the filter, and change what this program is */
    }
    TRY("ptrace", SYS_ptrace, 0, 0, 0, 0);
    TRY("socket-inet6", SYS_socket, 10, 1, 0);
    TRY("socket-netlink", SYS_socket, 16, 3, 0);
    TRY("socket-packet", SYS_socket, 17, 3, 0);
    TRY("socket-vsock", SYS_socket, 40, 1, 0);
    TRY("add_key", SYS_add_key, "user", "x", "y", 1, -3);
    TRY("bpf", SYS_bpf, 0, page, sizeof page);
    TRY("mount", SYS_mount, "none", "/tmp", "tmpfs", 0, 0);
    TRY("unshare", SYS_unshare, CLONE_NEWUSER);
    TRY("clone-newuser", SYS_clone, CLONE_NEWUSER | CLONE_NEWNET, 0, 0, 0, 0);
    TRY("clone3", SYS_clone3, page, sizeof page);
    TRY("setns", SYS_setns, 0, 0);
    TRY("perf_event_open", SYS_perf_event_open, page, 0, -1, -1, 0);
    TRY("io_uring_setup", SYS_io_uring_setup, 1, page);
    TRY("userfaultfd", SYS_userfaultfd, 1);
    TRY("process_vm_readv", SYS_process_vm_readv, getpid(), 0, 0, 0, 0, 0);
    TRY("open_by_handle_at", SYS_open_by_handle_at, -1, page, 0);
    TRY("mknod", SYS_mknodat, -100, "/tmp/node", 0010600, 0);
    TRY("chmod", SYS_fchmodat, -100, "/tmp", 0777);
    TRY("rename", SYS_renameat, -100, "/tmp/a", -100, "/tmp/b");
    return 0;
}
