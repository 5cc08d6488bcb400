/** Where the files of an authority are, below its folder (nova 2011.3, nova/CA/openssl.cnf.tmpl). */
export interface AuthorityLayout {
  /** Absolute folder; `.` where the configuration is used from inside it. */
  readonly folder: string;
  readonly caFile: string;
  readonly keyFile: string;
  readonly crlFile: string;
  /** Organization of the authority's own certificate, e.g. `NOVA ROOT`. */
  readonly organization: string;
  readonly caDays: number;
  readonly certificateDays: number;
}

/** What a certificate is for: a user's tools, or the server end of a project's VPN. */
export type CertificateUse = 'client' | 'server';

/** The section of {@link opensslConfig} which holds the extensions of a certificate. */
export const extensionsOf: Readonly<Record<CertificateUse | 'authority', string>> = {
  client: 'usr_cert',
  server: 'server_cert',
  authority: 'v3_ca',
};

/** The configuration with which `openssl req` and `openssl ca` work on an authority. */
export function opensslConfig(layout: AuthorityLayout): string {
  return `# Certificate authority of nova. The commands openssl ca and openssl req read this file.
[ca]
default_ca = CA_default

[CA_default]
dir = ${quoted(layout.folder)}
serial = $dir/serial
database = $dir/index.txt
new_certs_dir = $dir/newcerts
certs = $dir/certs
crl_dir = $dir/crl
certificate = $dir/${quoted(layout.caFile)}
private_key = $dir/${quoted(layout.keyFile)}
crl = $dir/${quoted(layout.crlFile)}
default_days = ${layout.certificateDays}
default_crl_days = ${layout.caDays}
default_md = sha256
unique_subject = no
preserve = no
string_mask = utf8only
x509_extensions = ${extensionsOf.client}
policy = policy_any

[policy_any]
countryName = optional
stateOrProvinceName = optional
localityName = optional
organizationName = optional
organizationalUnitName = optional
commonName = optional
emailAddress = optional

[req]
default_bits = 2048
default_md = sha256
prompt = no
string_mask = utf8only
distinguished_name = authority_name
x509_extensions = ${extensionsOf.authority}

[authority_name]
C = US
ST = California
L = Mountain View
O = ${quoted(layout.organization)}

[${extensionsOf.authority}]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign, keyEncipherment
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always

[${extensionsOf.client}]
basicConstraints = CA:false
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid

[${extensionsOf.server}]
basicConstraints = CA:false
keyUsage = digitalSignature, keyEncipherment
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
`;
}

/** A value which may hold what the configuration gives a meaning to. */
function quoted(value: string): string {
  return value.replace(/[\\$#"'`;]/g, '\\$&');
}

/** Most characters of a common name (RFC 5280, ub-common-name). */
const longestCommonName = 64;

/**
 * A subject as `openssl -subj` takes it: each `%s` of the template replaced by the next value. Where the last part is
 * longer than a common name may be, the longest of the values is cut.
 */
export function subjectOf(template: string, values: readonly string[]): string {
  const plain = values.map((value) => [...value.replace(/\p{Cc}/gu, '?')]);
  const tail = template.slice(template.lastIndexOf('=') + 1);
  const inTail = tail.split('%s').length - 1;
  const fixed = [...tail].length - 2 * inTail;
  const cut = plain.slice(plain.length - inTail);
  while (fixed + cut.reduce((sum, value) => sum + value.length, 0) > longestCommonName) {
    const longest = cut.reduce((a, b) => (b.length > a.length ? b : a));
    if (longest.length === 0) break;
    longest.pop();
  }
  let at = 0;
  return template.replace(/%s/g, () => (plain[at++] ?? []).join('').replace(/[\\/+=,]/g, '\\$&'));
}
