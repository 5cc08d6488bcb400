# -*- coding: utf-8 -*-
"""Buckets and objects through boto 1.9b, 2.0 or 2.49 with OrdinaryCallingFormat, as bundle tools of 2011 use them.

Environment: S3_URL, EC2_ACCESS_KEY, EC2_SECRET_KEY, STORY (a word which its names begin with), and for boto 2.49
BOTO_SIGNATURE (2 or 4).
"""
import io
import os

try:
    from urllib.parse import urlparse
    from urllib.request import urlopen
except ImportError:
    from urllib2 import urlopen
    from urlparse import urlparse

import boto
import boto.exception
from boto.s3.connection import OrdinaryCallingFormat, S3Connection

import story
from story import step

url = urlparse(os.environ['S3_URL'])
signs_4 = os.environ.get('BOTO_SIGNATURE') == '4'
if signs_4:
    os.environ['S3_USE_SIGV4'] = 'True'
if not boto.config.has_section('Boto'):
    boto.config.add_section('Boto')
boto.config.set('Boto', 'num_retries', '0')


def connect(secret):
    conn = S3Connection(
        os.environ['EC2_ACCESS_KEY'],
        secret,
        is_secure=False,
        host=url.hostname,
        port=url.port,
        calling_format=OrdinaryCallingFormat(),
    )
    # boto guesses it from names of hosts, and an address has none.
    conn.auth_region_name = 'nova'
    return conn


refused = story.Refusals(
    (boto.exception.S3ResponseError, boto.exception.S3CreateError),
    lambda error: (error.status, error.error_code, error.error_message),
)
story.client('boto', boto.Version)
conn = connect(os.environ['EC2_SECRET_KEY'])
NAME = os.environ['STORY']
SNOW = u'snow \u2603'
if str is bytes:
    SNOW = SNOW.encode('utf-8')
NAMES = ('image.part.0', 'dir/with space and +', SNOW)


def names(found):
    """In Python 2 a name is of either type of text."""
    return [one.name if isinstance(one.name, str) else one.name.encode('utf-8') for one in found]



refused('NoSuchBucket', conn.get_bucket(NAME, validate=False).get_all_keys)
bucket = conn.create_bucket(NAME)
refused('BucketAlreadyExists', conn.create_bucket, NAME)
assert NAME in [found.name for found in conn.get_all_buckets()]
assert conn.get_bucket(NAME).name == NAME
step('make bucket')

bits = os.urandom(300000)
for key_name in NAMES:
    key = bucket.new_key(key_name)
    key.set_metadata('origin', 'test')
    key.set_contents_from_string(bits, headers={'x-amz-acl': 'aws-exec-read'})
    read = bucket.get_key(key_name)
    assert int(read.size) == len(bits) and read.etag == key.etag, (read.size, read.etag)
    assert read.get_metadata('origin') == 'test'
    assert read.get_contents_as_string() == bits, repr(key_name)
step('put and get')
assert bucket.get_key('image.part.0').get_contents_as_string(headers={'Range': 'bytes=5-9'}) == bits[5:10]
step('ranges')
if not signs_4:
    # Version 4 of it looks for a region in the host's name.
    assert urlopen(bucket.new_key('image.part.0').generate_url(60)).read() == bits
    step('signed URL')

assert bucket.get_key('missing') is None
if boto.Version != '1.9b':
    # 1.9b doesn't read why.
    refused('NoSuchKey', bucket.new_key('missing').get_contents_as_string)
assert names(bucket.list()) == sorted(NAMES)
assert names(bucket.list(prefix='image')) == ['image.part.0']
assert names(bucket.list(delimiter='/')) == ['image.part.0', SNOW, 'dir/']
one = {'maxkeys': 1} if boto.Version == '1.9b' else {'max_keys': 1}
assert names(bucket.get_all_keys(**one)) == ['dir/with space and +']
step('list, by prefix and delimiter')
refused('BucketNotEmpty', conn.delete_bucket, NAME)
refused('SignatureDoesNotMatch', connect('wrong').get_bucket(NAME, validate=False).get_all_keys)

# 1.9b has neither; 2.0 quotes no name but ASCII for a copy, and has no copies of parts.
if boto.Version != '1.9b':
    copied = bucket.copy_key('copy', NAME, NAMES[0])
    assert copied.etag.strip('"') and bucket.get_key('copy').get_contents_as_string() == bits
    assert bucket.get_key('copy').get_metadata('origin') == 'test'
    step('copy')

    part = os.urandom(5 * 1024 * 1024)
    upload = bucket.initiate_multipart_upload('parts')
    upload.upload_part_from_file(io.BytesIO(bits), 3)
    upload.upload_part_from_file(io.BytesIO(part), 1)
    assert [(each.part_number, each.size) for each in upload] == [(1, len(part)), (3, len(bits))]
    assert [each.key_name for each in bucket.get_all_multipart_uploads()] == ['parts']
    assert [each.key_name for each in bucket.list_multipart_uploads()] == ['parts']
    upload.complete_upload()
    read = bucket.get_key('parts')
    assert read.get_contents_as_string() == part + bits and read.etag.endswith('-2"')
    upload = bucket.initiate_multipart_upload('abandoned')
    upload.upload_part_from_file(io.BytesIO(b'small'), 1)
    upload.upload_part_from_file(io.BytesIO(b'smaller'), 2)
    refused('EntityTooSmall', upload.complete_upload)
    upload.cancel_upload()
    refused('NoSuchUpload', upload.upload_part_from_file, io.BytesIO(b'late'), 3)
    assert bucket.get_all_multipart_uploads() == []
    step('upload in parts')
if boto.Version.startswith('2.49'):
    bucket.copy_key('copy of \u2603', NAME, SNOW)
    assert bucket.get_key('copy of \u2603').get_contents_as_string() == bits
    upload = bucket.initiate_multipart_upload('ranges', metadata={'origin': 'parts'})
    upload.copy_part_from_key(NAME, 'parts', 1, start=0, end=len(part) - 1)
    upload.copy_part_from_key(NAME, 'parts', 2, start=len(part), end=len(part) + 9)
    upload.complete_upload()
    ranges = bucket.get_key('ranges')
    assert ranges.get_contents_as_string() == part + bits[:10] and ranges.get_metadata('origin') == 'parts'
    step('copy parts')

for key in bucket.list():
    key.delete()
assert bucket.get_all_keys() == []
conn.delete_bucket(NAME)
assert NAME not in [found.name for found in conn.get_all_buckets()]
step('delete')
story.done()
