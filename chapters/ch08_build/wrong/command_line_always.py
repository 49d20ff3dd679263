def command_line(command, config):
    return [*(config.shell or ["/bin/sh", "-c"]), " ".join(command.words)]
