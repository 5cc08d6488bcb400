import type { Tag, Tagged } from '../../common/cloud/tags.js';
import { ApiError } from '../../common/errors.js';
import { action, done, sysadmin, type Ec2Actions } from './action.js';
import { filtered, filtersParam } from './filters.js';
import { ec2IdOf } from './ids.js';
import { pageOf, pageParams } from './pages.js';
import { anyText, group, list, parseEc2Id, required, someOf, text } from './params.js';

const prefixes = { instance: 'i', volume: 'vol', snapshot: 'snap' } as const;
const kinds = Object.keys(prefixes) as (keyof typeof prefixes)[];

/** Actions about tags, which clients newer than 2011.3 use. */
export const tagActions: Ec2Actions = {
  DescribeTags: action({
    roles: 'all',
    params: { Filter: filtersParam, ...pageParams },
    async run(cloud, context, params) {
      const tags = filtered(cloud, params.Filter, await cloud.tags.list(context), (tag) => ({
        key: () => tag.key,
        value: () => tag.value,
        'resource-id': () => resourceIdOf(tag),
        'resource-type': () => tag.kind,
      }));
      const { shown, more } = pageOf(tags, params, (tag) => `${resourceIdOf(tag)} ${tag.key}`);
      return {
        tagSet: shown.map((tag) => ({
          resourceId: resourceIdOf(tag),
          resourceType: tag.kind,
          key: tag.key,
          value: tag.value,
        })),
        ...more,
      };
    },
  }),

  CreateTags: action({
    roles: sysadmin,
    params: { ResourceId: someOf(text), Tag: list(group({ Key: required(text), Value: anyText })) },
    async run(cloud, context, { ResourceId: ids, Tag: tags }) {
      if (tags.length === 0) throw new ApiError('The request must contain the parameter Tag.1.Key', 'MissingParameter');
      const pairs = Object.fromEntries(tags.map((tag) => [tag.Key, tag.Value ?? '']));
      await cloud.tags.set(context, ids.map(taggedOf), pairs);
      return done;
    },
  }),

  DeleteTags: action({
    roles: sysadmin,
    params: { ResourceId: someOf(text), Tag: list(group({ Key: required(text), Value: anyText })) },
    async run(cloud, context, { ResourceId: ids, Tag: tags }) {
      const pairs = tags.map((tag) =>
        tag.Value === undefined ? { key: tag.Key } : { key: tag.Key, value: tag.Value },
      );
      await cloud.tags.remove(context, ids.map(taggedOf), pairs);
      return done;
    },
  }),
};

function resourceIdOf(tag: Tag): string {
  return ec2IdOf(prefixes[tag.kind], tag.id);
}

function taggedOf(resourceId: string): Tagged {
  const kind = kinds.find((each) => resourceId.toLowerCase().startsWith(`${prefixes[each]}-`));
  if (kind === undefined) {
    throw new ApiError(
      `${resourceId.slice(0, 100)} can't be tagged: only instances, volumes and snapshots can`,
      'InvalidParameterValue',
    );
  }
  return { kind, id: parseEc2Id(resourceId, [prefixes[kind]]) };
}
