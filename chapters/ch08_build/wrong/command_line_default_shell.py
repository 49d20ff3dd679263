def command_line(command, config):
    return ["/bin/sh", "-c", *command.words] if command.shell else list(command.words)
