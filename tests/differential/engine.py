# SPDX-License-Identifier: Apache-2.0
"""The engine's part of a stream: a process that is told a line, and answers with one."""
import subprocess


class Engine:
    def __init__(self, program, place):
        self.process = subprocess.Popen([program, place], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the engine died of: {line}")
        return answer.rstrip("\n")

    def close(self):
        self.process.stdin.close()
        if self.process.wait() != 0:
            raise RuntimeError(f"the engine's program ended with {self.process.returncode}")
