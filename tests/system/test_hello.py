#!/usr/bin/env python3
"""The kernel boots, starts a component, shows what it prints, and goes off when the component says so."""
import rig


def test():
    result = rig.run('system: greeting\ncomponents: {hello: {machine: true}}\n', timeout=30)
    result.expect_status(0).expect_log("system 'greeting': 1 components", 'hello: hello from hello, thread 0 of 1')


rig.main(test)
