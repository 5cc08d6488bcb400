import { expect } from 'chai';
import { parseStringPromise } from 'xml2js';
import { errorDocument, escapeXml, successDocument } from '../../../nova-api/ec2/xml.js';

describe('EC2 XML', () => {
  it('writes a success document as 2011.3 does', () => {
    const xml = successDocument('DescribeThings', '2009-11-30', 'id-1', {
      thingSet: [
        { name: 'a', size: 3, public: true, tagSet: [], owner: null, note: '', left: undefined },
        { name: 'b' },
      ],
      return: false,
      nothing: {},
    });
    expect(xml).to.equal(
      '<?xml version="1.0" ?><DescribeThingsResponse xmlns="http://ec2.amazonaws.com/doc/2009-11-30/">' +
        '<requestId>id-1</requestId><thingSet><item><name>a</name><size>3</size><public>true</public><tagSet/><owner/>' +
        '<note></note></item><item><name>b</name></item></thingSet><return>false</return><nothing/>' +
        '</DescribeThingsResponse>',
    );
  });

  it('writes an error document as 2011.3 does, escaped', () => {
    expect(errorDocument('ApiError', 'a <b> & "c"', 'id-2')).to.equal(
      '<?xml version="1.0"?>\n<Response><Errors><Error><Code>ApiError</Code><Message>a &lt;b&gt; &amp; &quot;c&quot;</Message>' +
        '</Error></Errors><RequestID>id-2</RequestID></Response>',
    );
  });

  it('escapes the version, which the client chooses', () => {
    expect(successDocument('A', 'a<b"&', 'i', {})).to.contain('doc/a&lt;b&quot;&amp;/"');
  });

  it('keeps every character which XML can hold, and the document well-formed with those it cannot', async () => {
    const kept = 'tab\tnewline\ncarriage\rclé 日本 😀 ]]>';
    const lost = ['\u0000', '\u0008', '\u000b', '\u001f', '\ufffe', '\uffff', '\ud800', '\udc00', '\udc00\ud800'];
    expect(escapeXml('\ud83d\ude00')).to.equal('😀');
    for (const text of lost) expect(escapeXml(`a${text}b`)).to.equal(`a${'\ufffd'.repeat(text.length)}b`);
    const xml = successDocument('A', '1', 'i', { text: kept + lost.join(' ') });
    const parsed = (await parseStringPromise(xml)) as { AResponse: { text: string[] } };
    expect(parsed.AResponse.text[0]).to.equal(kept + lost.map((text) => '\ufffd'.repeat(text.length)).join(' '));
  });
});
