/** Where a project's VPN listens, and the files of the user's credentials which it needs. */
export interface VpnClientFields {
  readonly address: string;
  readonly port: number;
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
}

/** An OpenVPN client's configuration for a cloudpipe (nova 2011.3, nova/cloudpipe/client.ovpn.template: settings). */
export function renderVpnClientFile(fields: VpnClientFields): string {
  return `# OpenVPN client of a project's network; keep it beside the keys it names.
client
dev tap
proto udp
remote ${fields.address} ${fields.port}
resolv-retry infinite
nobind
user nobody
group nogroup
persist-key
persist-tun
ca ${fields.caFile}
cert ${fields.certFile}
key ${fields.keyFile}
comp-lzo
keepalive 10 120
ping-timer-rem
verb 1
`;
}
