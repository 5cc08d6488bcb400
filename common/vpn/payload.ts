import { storedZip } from '../auth/storedZip.js';

/** What a cloudpipe instance gets to know at its boot. */
export interface VpnPayload {
  /** PEM texts. */
  readonly revocationList: string;
  readonly serverKey: string;
  readonly serverCertificate: string;
  readonly authority: string;
  /** The script which sets the VPN up. */
  readonly bootScript: string;
}

/** The fields of a boot script. */
export interface BootScriptFields {
  readonly cc_dmz: string;
  readonly cc_port: string;
  readonly dmz_net: string;
  readonly dmz_mask: string;
  /** Addresses at the top of the network which clients get. */
  readonly num_vpn: string;
}

/** A boot script out of a template, its `\${name}` fields filled in; what is no field stays, as it may be shell. */
export function fillBootScript(template: string, fields: BootScriptFields): string {
  return template.replace(/\$\{(\w+)\}/g, (whole, name: string) =>
    Object.hasOwn(fields, name) ? fields[name as keyof BootScriptFields] : whole,
  );
}

/**
 * The built-in boot script: puts the keys where OpenVPN looks for them, makes server.conf of the image's
 * server.conf.template and starts the server (what nova 2011.3's nova/cloudpipe/bootscript.template does).
 */
export const bootScript = `#!/bin/sh
# Sets up the VPN server of a project's network. Runs in the folder which the user data was unpacked to.
set -e
number() {
  IFS=. read -r a b c d <<EOF
$1
EOF
  echo $(((a << 24) + (b << 16) + (c << 8) + d))
}
dotted() {
  echo $((($1 >> 24) & 255)).$((($1 >> 16) & 255)).$((($1 >> 8) & 255)).$(($1 & 255))
}
here=$(cd "$(dirname "$0")" && pwd)
clients=\${num_vpn}
address=$(ip -4 -o addr show dev eth0 | awk '{ print $4; exit }')
own=$(number "\${address%/*}")
hosts=$(((1 << (32 - \${address#*/})) - 1))
broadcast=$((own | hosts))
subnet=$(dotted $((4294967295 ^ hosts)))

mkdir -p /etc/openvpn
cp "$here/crl.pem" "$here/server.key" "$here/ca.crt" "$here/server.crt" /etc/openvpn/
chmod 600 /etc/openvpn/server.key
sed -e "s/VPN_IP/\${address%/*}/g" \\
    -e "s/DHCP_SUBNET/$subnet/g" \\
    -e "s/DHCP_LOWER/$(dotted $((broadcast - clients)))/g" \\
    -e "s/DHCP_UPPER/$(dotted $((broadcast - 1)))/g" \\
    -e "s/max-clients 1/max-clients $clients/g" \\
    /etc/openvpn/server.conf.template > /etc/openvpn/server.conf
echo 'push "route \${dmz_net} \${dmz_mask} '"\${address%/*}"'"' >> /etc/openvpn/server.conf
echo "CLOUD=http://\${cc_dmz}:\${cc_port}" > /etc/openvpn/cloud
/etc/init.d/openvpn restart
`;

/** The user data of a cloudpipe instance: base64, as EC2 has it, of the base64 which its image expects. */
export function vpnUserData(payload: VpnPayload): string {
  const zip = storedZip(
    [
      { name: 'autorun.sh', data: payload.bootScript, mode: 0o755 },
      { name: 'crl.pem', data: payload.revocationList },
      { name: 'server.key', data: payload.serverKey, mode: 0o600 },
      { name: 'ca.crt', data: payload.authority },
      { name: 'server.crt', data: payload.serverCertificate },
    ],
    // No time: the same keys make the same user data.
    0,
  );
  return Buffer.from(zip.toString('base64')).toString('base64');
}
