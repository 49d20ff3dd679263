def command_line(command, config):
    if not command.shell:
        return list(command.words)
    return [*(config.shell or ["/bin/sh", "-c"]), *command.words[0].split(" ")]
