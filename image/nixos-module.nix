# For people who run NixOS and only want the supervisor: a hardened service. A plain module, no nixpkgs pinned.
self: { config, lib, pkgs, ... }:
let cfg = config.services.freehold;
in {
  options.services.freehold = {
    enable = lib.mkEnableOption "the Freehold supervisor";
    package = lib.mkOption { type = lib.types.package; description = "The programs: bin/freehold-supervisor."; };
    pairing = lib.mkOption { type = lib.types.nullOr lib.types.path; default = null; description = "Which console is ours."; };
  };
  config = lib.mkIf cfg.enable {
    security.tpm2.enable = true;
    systemd.services.freehold-supervisor = {
      wantedBy = [ "multi-user.target" ];
      serviceConfig = {
        ExecStart = "${cfg.package}/bin/freehold-supervisor run --state /var/lib/freehold --runtime /run/freehold"
          + lib.optionalString (cfg.pairing != null) " --pairing ${cfg.pairing}";
        StateDirectory = "freehold"; RuntimeDirectory = "freehold"; Restart = "always";
        NoNewPrivileges = true; ProtectSystem = "strict"; ProtectHome = true; PrivateTmp = true;
        ProtectKernelTunables = true; ProtectKernelModules = true; ProtectControlGroups = true;
        DeviceAllow = [ "/dev/tpmrm0 rw" ]; DevicePolicy = "closed"; LockPersonality = true; RestrictRealtime = true;
      };
    };
  };
}
