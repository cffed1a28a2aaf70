#!/usr/bin/env python3
"""libtidemark as `cmake --install` puts it in place: what can be seen of it, programs built against it, and the command's
completions. TIDEMARK_BUILD is the build directory, CC the compiler."""

import glob
import json
import os
import random
import re
import shutil
import subprocess
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("TIDEMARK_BUILD", os.path.join(ROOT, "build", "release"))
CC = os.environ.get("CC", "cc")
COMMANDS = ("serve", "publish", "tail", "query", "stats", "token", "export", "import", "verify", "backup")
EXAMPLES = ("queue", "resume", "archive")
JOBS = 1500


def run(*command, check=True, **more):
    done = subprocess.run(command, capture_output=True, text=True, **more)
    if check and done.returncode != 0:
        raise AssertionError(f"{command}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
        return file.read()


def header_functions():
    return set(re.findall(r"\b(tm_\w+)\(", "".join(re.findall(r"^TM_API .*$", read("include", "tidemark", "tidemark.h"), re.M))))


class Installed(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.temp = tempfile.mkdtemp(prefix="tidemark-library-")
        cls.addClassCleanup(shutil.rmtree, cls.temp)
        cls.prefix = os.path.join(cls.temp, "prefix")
        run("cmake", "--install", BUILD, "--prefix", cls.prefix)
        cls.libdir = os.path.dirname(glob.glob(os.path.join(cls.prefix, "lib", "**", "libtidemark.so"), recursive=True)[0])
        cls.bin = os.path.join(cls.prefix, "bin", "tidemark")
        cls.env = {**os.environ, "PKG_CONFIG_PATH": os.path.join(cls.libdir, "pkgconfig"), "LD_LIBRARY_PATH": cls.libdir}
        cls.examples = cls.build_with_cmake()

    @classmethod
    def build_with_cmake(cls):
        """find_package: each example, and each with the static library."""
        build = os.path.join(cls.temp, "examples")
        run("cmake", "-G", "Ninja", "-S", os.path.join(ROOT, "examples"), "-B", build, f"-DCMAKE_PREFIX_PATH={cls.prefix}",
            f"-DCMAKE_C_COMPILER={CC}", "-DCMAKE_C_FLAGS=-std=c11 -pedantic -Wall -Wextra -Werror -D_POSIX_C_SOURCE=200809L")
        run("cmake", "--build", build, "-j2")
        return build

    def example(self, name, *args, check=True):
        return run(os.path.join(self.examples, name), *args, check=check)

    def tidemark(self, *args):
        return run(self.bin, *args).stdout

    def dir(self):
        path = tempfile.mkdtemp(dir=self.temp)
        return os.path.join(path, "data")

    def path(self, *parts):
        return os.path.join(self.prefix, *parts)

    # --- what can be seen ---

    def test_only_the_interface_is_exported(self):
        shared = run("nm", "-D", "--defined-only", os.path.join(self.libdir, "libtidemark.so")).stdout
        static = run("nm", "-g", "--defined-only", os.path.join(self.libdir, "libtidemark.a")).stdout
        functions = header_functions()
        self.assertGreater(len(functions), 35)
        for text in (shared, static):
            self.assertEqual(set(re.findall(r" [A-Z] (\w+)", text)), functions)

    def test_it_needs_few_libraries(self):
        text = run("readelf", "-d", os.path.join(self.libdir, "libtidemark.so")).stdout
        needed = {name.split(".so")[0] for name in re.findall(r"NEEDED.*\[(.*)\]", text)}
        self.assertEqual(needed - {"ld-linux-x86-64", "ld-linux-aarch64", "libm", "libpthread"},
                         {"libsqlite3", "libzstd", "libcrypto", "libc"})
        self.assertRegex(text, r"SONAME.*\[libtidemark\.so\.0\]")

    def test_a_program_may_have_functions_of_the_same_names(self):
        source = os.path.join(self.temp, "same.c")
        program = os.path.join(self.temp, "same")
        with open(source, "w", encoding="utf-8") as file:
            file.write('#include <stdlib.h>\n#include <tidemark/tidemark.h>\n'
                       'int store_open(void) { abort(); }\nint buf_add(void) { abort(); }\nint log_write(void) { abort(); }\n'
                       'int main(int c, char **v) { struct tm_store *s; (void)c;\n'
                       'if (tm_open(v[1], 0, &s, 0)) return 1; tm_close(s); return 0; }\n')
        self.compile(source, program, "-l:libtidemark.a", static=True)
        run(program, self.dir(), env=self.env)

    def test_the_header_stands_alone(self):
        source = os.path.join(self.temp, "alone.c")
        with open(source, "w", encoding="utf-8") as file:
            file.write("#include <tidemark/tidemark.h>\nint main(void) { return tm_version() == 0; }\n")
        strict = ("-pedantic", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", f"-I{self.path('include')}", source)
        run(CC, "-x", "c", "-std=c99", *strict)
        run("clang", "-x", "c", "-std=c99", *strict)
        run("clang", "-x", "c++", "-std=c++11", *strict)
        self.assertEqual(os.listdir(self.path("include", "tidemark")), ["tidemark.h"])

    def test_versions_agree(self):
        version = re.search(r'TM_VERSION "(.*)"', read("include", "tidemark", "tidemark.h"))[1]
        self.assertEqual(run("pkg-config", "--modversion", "tidemark", env=self.env).stdout.strip(), version)
        self.assertIn(version, self.tidemark("--version"))

    def test_what_else_is_installed(self):
        with open(self.path("lib", "systemd", "system", "tidemark.service"), encoding="utf-8") as file:
            unit = file.read()
        self.assertIn(f"ExecStart={self.bin} serve ", unit)
        self.assertEqual(unit.replace(self.bin, "/usr/bin/tidemark"), read("packaging", "tidemark.service"))
        for page in ("man1/tidemark.1", "man3/libtidemark.3"):
            with open(self.path("share", "man", page), encoding="utf-8") as file:
                self.assertTrue(file.read().startswith(".TH "), page)

    def test_documents_name_functions_that_there_are(self):
        functions = header_functions()
        types = set(re.findall(r"\b(?:struct|enum) (tm_\w+)", read("include", "tidemark", "tidemark.h")))
        for path in (("docs", "library.md"), ("docs", "man", "libtidemark.3")):
            named = set(re.findall(r"\b(tm_[a-z_]+)\b", read(*path)))
            self.assertEqual(named - functions - types, set(), path)
            self.assertGreater(len(named & functions), 5, path)

    # --- building against it ---

    def compile(self, source, program, library, static=False):
        flags = run("pkg-config", "--cflags", "--libs", *(["--static"] if static else []), "tidemark", env=self.env).stdout
        run(CC, "-D_POSIX_C_SOURCE=200809L", source, "-o", program, *flags.replace("-ltidemark", library).split(), "-pthread")

    def test_pkg_config_builds_the_examples(self):
        for library, static in (("-ltidemark", False), ("-l:libtidemark.a", True)):
            for name in EXAMPLES:
                program = os.path.join(self.temp, f"{name}-{static}")
                self.compile(os.path.join(ROOT, "examples", f"{name}.c"), program, library, static)
                linked = run("ldd", program, env=self.env).stdout
                self.assertEqual("libtidemark.so" in linked, not static, linked)
            data = self.dir()
            run(os.path.join(self.temp, f"queue-{static}"), data, "5", env=self.env)
            self.assertEqual(len(run(os.path.join(self.temp, f"resume-{static}"), data, "r", "99", env=self.env).stdout.splitlines()), 10)

    def test_the_first_program_of_the_document_works(self):
        source = os.path.join(self.temp, "document.c")
        with open(source, "w", encoding="utf-8") as file:
            file.write(re.search(r"```c\n(.*?)```", read("docs", "library.md"), re.S)[1])
        self.compile(source, os.path.join(self.temp, "document"), "-ltidemark")
        where = tempfile.mkdtemp(dir=self.temp)
        run(os.path.join(self.temp, "document"), cwd=where, env=self.env)
        self.assertIn('"stream":"orders","type":"created","data":{"n":1}', self.tidemark("query", os.path.join(where, "data")))

    def test_find_package_has_both_libraries(self):
        for name in EXAMPLES:
            for suffix, shared in (("", True), ("_static", False)):
                linked = run("ldd", os.path.join(self.examples, name + suffix)).stdout
                self.assertEqual("libtidemark.so" in linked, shared, linked)
        data = self.dir()
        self.example("queue_static", data, "5")
        self.example("queue", data, "8")
        self.assertEqual(len(self.tidemark("query", data).splitlines()), 16)

    def test_examples_are_short(self):
        for name in EXAMPLES:
            self.assertLess(len(read("examples", f"{name}.c").splitlines()), 100, name)

    # --- what the examples promise ---

    def test_the_queue_survives_being_killed(self):
        data = self.dir()
        chance = random.Random(7)
        kills = 0
        while True:
            with subprocess.Popen([os.path.join(self.examples, "queue"), data, str(JOBS)], stderr=subprocess.PIPE) as queue:
                try:
                    queue.wait(chance.uniform(0.005, 0.08) if kills < 12 else None)
                except subprocess.TimeoutExpired:
                    queue.kill()
                    kills += 1
                    continue
                self.assertEqual(queue.wait(), 0, queue.stderr.read())
                break
        self.assertGreater(kills, 3)
        events = [json.loads(line) for line in self.tidemark("query", data).splitlines()]
        self.assertEqual([e["seq"] for e in events], list(range(1, 2 * JOBS + 1)))
        self.assertEqual([e["data"]["square"] for e in events if e["stream"] == "jobs"], list(range(1, JOBS + 1)))
        self.assertEqual([e["data"] for e in events if e["stream"] == "results"],
                         [{"job": n, "result": n * n} for n in range(1, JOBS + 1)])
        self.tidemark("verify", data)

    def test_the_reader_resumes(self):
        data = self.dir()
        self.example("queue", data, "40")
        everything = self.tidemark("query", data)
        parts = [self.example("resume", data, "a", str(count)).stdout for count in (7, 1, 50, 1000)]
        self.assertEqual([len(part.splitlines()) for part in parts], [7, 1, 50, 22])
        self.assertEqual("".join(parts), everything)
        self.assertEqual(self.example("resume", data, "b", "80").stdout, everything)
        self.example("queue", data, "41")
        self.assertEqual(self.example("resume", data, "a", "2").stdout, self.tidemark("query", data, "--after", "80"))

    def test_the_archive_reader_prints_what_was_sealed(self):
        data = self.dir()
        self.example("queue", data, "30")
        self.example("queue", data, "50")
        archives = sorted(glob.glob(os.path.join(data, "archives", "*.zst")), key=lambda p: int(os.path.basename(p).split("-")[0]))
        self.assertEqual(len(archives), 2)
        got = self.example("archive", *archives)
        last = int(re.search(r"-(\d+)\.", archives[-1])[1])
        self.assertEqual(got.stdout, self.tidemark("query", data, "--before", str(last + 1)))
        self.assertIn("events 1 to", got.stderr)
        self.assertEqual(self.example("archive_static", archives[0]).stdout, run("zstd", "-dc", archives[0]).stdout)
        with open(archives[0], "r+b") as file:
            file.seek(30)
            file.write(b"\xff\xff")
        failed = self.example("archive", archives[0], check=False)
        self.assertEqual((failed.returncode, failed.stdout), (1, ""))
        self.assertIn(os.path.basename(archives[0]), failed.stderr)

    # --- completions ---

    def complete(self, *words):
        """What bash offers for the last word."""
        script = (f'PATH={self.prefix}/bin:$PATH; . {self.path("share", "bash-completion", "completions", "tidemark")}; '
                  'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _tidemark; printf "%s\\n" "${COMPREPLY[@]}"')
        return set(run("bash", "-c", script, "bash", "tidemark", *words).stdout.split("\n")) - {""}

    def test_bash_completes_every_command_and_option(self):
        self.assertEqual(self.complete(""), set(COMMANDS) | {"--help", "--version"})
        self.assertEqual(self.complete("ba"), {"backup"})
        for name in COMMANDS:
            options = set(re.findall(r"^ +(?:-\w, )?(--[a-z][a-z-]*)", self.tidemark(name, "--help"), re.M)) | {"--help"}
            self.assertGreater(len(options), 2)
            self.assertEqual(self.complete(name, "--"), options)

    def test_bash_completes_values(self):
        self.assertEqual(self.complete("serve", "--durability", ""), {"fsync", "relaxed"})
        self.assertEqual(self.complete("query", "--order", "d"), {"desc"})
        self.assertEqual(self.complete("token", ""), {"add", "list", "revoke"})
        self.assertEqual(self.complete("serve", "--data", self.path("sh")), {self.path("share")})
        self.assertEqual(self.complete("export", self.path("in")), {self.path("include")})
        self.assertEqual(self.complete("export", "-o", self.path("in")), {self.path("include")})
        self.assertEqual(self.complete("tail", "--count", ""), set())

    def zsh(self, *words):
        """What zsh offers for the last word: the names that its completion functions were given."""
        script = ('_describe() { print -l -- ${(@P)2%%:*} }; compadd() { shift; print -l -- $@ }; _files() { print FILES }; '
                  f'words=("$@"); CURRENT=$#; PATH={self.prefix}/bin:$PATH; '
                  f'complete() {{ {read("packaging", "completions", "_tidemark")} }}; complete')
        return set(run("zsh", "-f", "-c", script, "zsh", "tidemark", *words).stdout.split("\n")) - {""}

    def test_zsh_completes_every_command_and_option(self):
        self.assertTrue(os.path.exists(self.path("share", "zsh", "site-functions", "_tidemark")))
        self.assertEqual(self.zsh(""), set(COMMANDS) | {"--help", "--version"})
        for name in COMMANDS:
            options = set(re.findall(r"^ +(?:-\w, )?(--[a-z][a-z-]*)", self.tidemark(name, "--help"), re.M)) | {"--help"}
            self.assertEqual(self.zsh(name, "--"), options)
        self.assertEqual(self.zsh("token", ""), {"add", "list", "revoke"})
        self.assertEqual(self.zsh("serve", "--durability", ""), {"fsync", "relaxed"})
        self.assertEqual(self.zsh("serve", "--data", ""), {"FILES"})
        self.assertEqual(self.zsh("export", "-o", ""), {"FILES"})
        self.assertEqual(self.zsh("tail", "--count", ""), set())
        self.assertEqual(self.zsh("query", ""), {"FILES"})


if __name__ == "__main__":
    unittest.main()
