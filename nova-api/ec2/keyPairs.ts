import type { KeyPair } from '../../common/db/keyPairs.js';
import { ApiError } from '../../common/errors.js';
import { action, done, type Ec2Actions, type Ec2Value } from './action.js';
import { filtered, filtersParam } from './filters.js';
import { list, required, text, type Param } from './params.js';

/** Text which travels as base64. Line breaks are tolerated. */
const base64: Param<string | undefined> = {
  shape: { kind: 'base64' },
  read(node, path) {
    const value = text.read(node, path)?.replace(/\s/g, '');
    if (value === undefined) return undefined;
    if (!/^[A-Za-z0-9+/_-]+={0,2}$/.test(value)) {
      throw new ApiError(`The value of parameter ${path} is not base64`, 'InvalidParameterValue');
    }
    return Buffer.from(value, 'base64').toString('utf8');
  },
};

/** Actions about key pairs (nova 2011.3, nova/api/ec2/cloud.py; ImportKeyPair is EC2's own). */
export const keyPairActions: Ec2Actions = {
  CreateKeyPair: action({
    roles: 'all',
    params: { KeyName: required(text) },
    async run(cloud, context, { KeyName: name }) {
      const { keyPair, privateKey } = await cloud.keyPairs.create(context, name);
      return { ...keyItem(keyPair), keyMaterial: privateKey };
    },
  }),

  ImportKeyPair: action({
    roles: 'all',
    params: { KeyName: required(text), PublicKeyMaterial: required(base64) },
    async run(cloud, context, { KeyName: name, PublicKeyMaterial: publicKey }) {
      return keyItem(await cloud.keyPairs.import(context, name, publicKey));
    },
  }),

  /** 2011.3's own form: the key is plain text. */
  ImportPublicKey: action({
    roles: 'all',
    params: { KeyName: required(text), PublicKey: required(text), Fingerprint: text },
    async run(cloud, context, params) {
      await cloud.keyPairs.import(context, params.KeyName, params.PublicKey, params.Fingerprint);
      return done;
    },
  }),

  DescribeKeyPairs: action({
    roles: 'all',
    params: { KeyName: list(text), Filter: filtersParam },
    async run(cloud, context, { KeyName: names, Filter: filters }) {
      const keys = await cloud.keyPairs.list(context);
      const named = keys.filter(({ name }) => names.length === 0 || names.includes(name ?? ''));
      const shown = filtered(cloud, filters, named, (key) => ({
        'key-name': () => key.name,
        fingerprint: () => key.fingerprint,
      }));
      return { keySet: shown.map(keyItem) };
    },
  }),

  DeleteKeyPair: action({
    roles: 'all',
    params: { KeyName: required(text) },
    async run(cloud, context, { KeyName: name }) {
      await cloud.keyPairs.delete(context, name);
      return done;
    },
  }),
};

function keyItem(key: KeyPair): { readonly [element: string]: Ec2Value } {
  return { keyName: key.name, keyFingerprint: key.fingerprint };
}
