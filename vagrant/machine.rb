# What every machine of ours has, whoever runs it: box, memory, processors, this checkout as /vagrant, provision.sh.
#
# Options are environment variables, so that nobody has to edit a file:
#   MINIDOCK_VM_BOX       the box: debian/bookworm64 on amd64, cloud-image/debian-12 on arm64
#   MINIDOCK_VM_MEMORY    in MiB (2048)
#   MINIDOCK_VM_CPUS      (2)
#   MINIDOCK_VM_FOLDER    how the checkout gets in: rsync (works everywhere; `vagrant rsync` brings changes), virtualbox, nfs, smb
#   MINIDOCK_VM_EMULATED  1 where the host has no hardware virtualisation: libvirt then emulates a processor (slow)

module Minidock
  ARM64 = RbConfig::CONFIG["host_cpu"].match?(/arm64|aarch64/)
  BOX = ENV.fetch("MINIDOCK_VM_BOX", ARM64 ? "cloud-image/debian-12" : "debian/bookworm64")
  MEMORY = Integer(ENV.fetch("MINIDOCK_VM_MEMORY", "2048"))
  CPUS = Integer(ENV.fetch("MINIDOCK_VM_CPUS", "2"))
  FOLDER = ENV.fetch("MINIDOCK_VM_FOLDER", "rsync")
  EMULATED = ENV["MINIDOCK_VM_EMULATED"] == "1"
  CHECKOUT = File.expand_path("..", __dir__)
  UNWANTED = %w[.git/ .venv/ .vagrant/ .mypy_cache/ .pytest_cache/ .hypothesis/ docs/_build/ /build/ *.egg-info/ __pycache__/]

  def self.describe(config)
    config.vm.box = BOX
    config.vm.boot_timeout = EMULATED ? 900 : 300
    config.vm.synced_folder ".", "/vagrant", disabled: true
    sync = FOLDER == "rsync" ? { rsync__exclude: UNWANTED } : {}
    config.vm.synced_folder CHECKOUT, "/vagrant", type: FOLDER, **sync
    config.vm.provision "shell", path: File.join(__dir__, "provision.sh")
    providers(config)
  end

  def self.providers(config)
    config.vm.provider "virtualbox" do |machine|
      machine.memory = MEMORY
      machine.cpus = CPUS
    end
    config.vm.provider "libvirt" do |machine|
      machine.memory = MEMORY
      machine.cpus = CPUS
      if EMULATED
        machine.driver = "qemu"
        machine.cpu_mode = "custom"
        machine.cpu_model = "qemu64"
      end
    end
    config.vm.provider "qemu" do |machine| # the plugin vagrant-qemu: no daemon, for Apple's processors above all
      machine.memory = "#{MEMORY}M"
      machine.smp = CPUS.to_s
      unless ARM64
        machine.arch = "x86_64"
        machine.machine = "q35"
        machine.cpu = "max"
        machine.net_device = "virtio-net-pci"
      end
    end
  end
end
