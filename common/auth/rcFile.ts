/** What an rc file tells a user's shell. */
export interface RcFields {
  userId: string;
  projectId: string;
  accessKey: string;
  secretKey: string;
  /** EC2 endpoint, with its path. */
  ec2Url: string;
  s3Url: string;
  /** OpenStack endpoint, with its path. */
  novaUrl: string;
  /** File names in the rc file's folder. */
  caFile: string;
  keyFile: string;
  certFile: string;
  region: string;
}

/**
 * The rc file which sets a shell up for the era's tools (nova 2011.3, nova/auth/novarc.template: names and order) and, in
 * its last lines, for those of today. Any POSIX shell can source it.
 */
export function renderRcFile(fields: RcFields): string {
  const access = `${fields.accessKey}:${fields.projectId}`;
  const lines = [
    'NOVARC=$(readlink -f "${BASH_SOURCE:-${0}}" 2>/dev/null) ||',
    `    NOVARC=$(python3 -c 'import os, sys; print(os.path.realpath(sys.argv[1]))' "\${BASH_SOURCE:-\${0}}")`,
    'NOVA_KEY_DIR=${NOVARC%/*}',
    `export EC2_ACCESS_KEY=${quote(access)}`,
    `export EC2_SECRET_KEY=${quote(fields.secretKey)}`,
    `export EC2_URL=${quote(fields.ec2Url)}`,
    `export S3_URL=${quote(fields.s3Url)}`,
    'export EC2_USER_ID=42',
    `export EC2_PRIVATE_KEY=\${NOVA_KEY_DIR}/${fields.keyFile}`,
    `export EC2_CERT=\${NOVA_KEY_DIR}/${fields.certFile}`,
    `export NOVA_CERT=\${NOVA_KEY_DIR}/${fields.caFile}`,
    'export EUCALYPTUS_CERT=${NOVA_CERT}',
    'alias ec2-bundle-image="ec2-bundle-image --cert ${EC2_CERT} --privatekey ${EC2_PRIVATE_KEY} --user 42 --ec2cert ${NOVA_CERT}"',
    'alias ec2-upload-bundle="ec2-upload-bundle -a ${EC2_ACCESS_KEY} -s ${EC2_SECRET_KEY} --url ${S3_URL} --ec2cert ${NOVA_CERT}"',
    `export NOVA_API_KEY=${quote(fields.accessKey)}`,
    `export NOVA_USERNAME=${quote(fields.userId)}`,
    `export NOVA_PROJECT_ID=${quote(fields.projectId)}`,
    `export NOVA_URL=${quote(fields.novaUrl)}`,
    'export NOVA_VERSION="1.1"',
    `export AWS_ACCESS_KEY_ID=${quote(access)}`,
    `export AWS_SECRET_ACCESS_KEY=${quote(fields.secretKey)}`,
    `export AWS_DEFAULT_REGION=${quote(fields.region)}`,
    `export AWS_ENDPOINT_URL=${quote(fields.ec2Url)}`,
    `export AWS_ENDPOINT_URL_EC2=${quote(fields.ec2Url)}`,
    `export AWS_ENDPOINT_URL_S3=${quote(fields.s3Url)}`,
    'export AWS_EC2_METADATA_DISABLED=true',
  ];
  return `${lines.join('\n')}\n`;
}

/** A value in double quotes of a shell. */
function quote(value: string): string {
  return `"${value.replace(/["\\$`]/g, '\\$&')}"`;
}
