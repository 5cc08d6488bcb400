import { expect } from 'chai';
import { pageOf, pageParams } from '../../../nova-api/ec2/pages.js';
import { readParams } from '../../../nova-api/ec2/params.js';

interface Thing {
  readonly id: number;
}
const things = (...ids: number[]): Thing[] => ids.map((id) => ({ id }));

function page(all: readonly Thing[], query: Record<string, string> = {}): { ids: number[]; next: string | undefined } {
  const { shown, more } = pageOf(all, readParams(pageParams, new Map(Object.entries(query))), ({ id }) => id);
  return { ids: shown.map(({ id }) => id), next: more.nextToken };
}

describe('EC2 pages', () => {
  it('leave who asks for none with everything, as it was listed', () => {
    expect(page(things(12, 9, 100))).to.deep.equal({ ids: [12, 9, 100], next: undefined });
  });

  it('hold each thing once, and end without a token', () => {
    const all = things(...Array.from({ length: 11 }, (_, index) => 111 - index * 9));
    const seen: number[][] = [];
    let next: string | undefined;
    do {
      const one = page(all, { MaxResults: '5', ...(next !== undefined && { NextToken: next }) });
      seen.push(one.ids);
      ({ next } = one);
    } while (next !== undefined);
    expect(seen.map((ids) => ids.length)).to.deep.equal([5, 5, 1]);
    expect(seen.flat()).to.deep.equal(all.map(({ id }) => id).sort((a, b) => a - b));
    expect(page(all, { MaxResults: '11' }).next, 'all on one page').to.equal(undefined);
    expect(page([], { MaxResults: '5' })).to.deep.equal({ ids: [], next: undefined });
  });

  it('go on after the last thing shown, whatever has come or gone', () => {
    const { next } = page(things(1, 2, 3, 4, 5, 6), { MaxResults: '3' });
    expect(page(things(2, 4, 5, 6), { MaxResults: '3', NextToken: next! }).ids).to.deep.equal([4, 5, 6]);
    expect(page(things(10, 11), { MaxResults: '3', NextToken: next! }).ids).to.deep.equal([10, 11]);
    expect(page(things(5, 6), { NextToken: next! }).ids, 'without a size').to.deep.equal([5, 6]);
  });

  it('are of a thousand things at most, and of one at least', () => {
    const all = things(...Array.from({ length: 1001 }, (_, index) => index));
    const one = page(all, { MaxResults: '2000000' });
    expect(one.ids).to.have.length(1000);
    expect(page(all, { NextToken: one.next! }).ids).to.deep.equal([1000]);
    for (const size of ['0', '-1', 'x', '2147483648'])
      expect(() => page(all, { MaxResults: size }), size)
        .to.throw()
        .with.property('code', 'InvalidParameterValue');
  });

  it('refuse a token which is none', () => {
    const { next } = page(things(1, 2), { MaxResults: '1' });
    for (const token of ['x', `${next}x`, next!.slice(1), Buffer.from('5').toString('base64url'), '%00', ' '])
      expect(() => page(things(1, 2), { NextToken: token }), token)
        .to.throw()
        .with.property('code', 'InvalidNextToken');
  });
});
