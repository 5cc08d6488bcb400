"""Buckets and objects, and uploads and copies of large objects through boto3, which cuts them into parts.

Environment: S3_URL, EC2_ACCESS_KEY, EC2_SECRET_KEY, STORY (the bucket's name). With version 2 this boto3 signs `?uploads` twice, which nobody takes.
"""
import hashlib
import io
import os
import tempfile

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.client import Config
from botocore.exceptions import ClientError

import story
from story import step


def connect(secret):
    return boto3.client(
        's3',
        endpoint_url=os.environ['S3_URL'],
        aws_access_key_id=os.environ['EC2_ACCESS_KEY'],
        aws_secret_access_key=secret,
        region_name='nova',
        config=Config(
            signature_version='s3v4',
            s3={'addressing_style': 'path', 'payload_signing_enabled': True},
            retries={'total_max_attempts': 1},
        ),
    )


def parts_of_error(error):
    answer = error.response
    return answer['ResponseMetadata']['HTTPStatusCode'], answer['Error']['Code'], answer['Error']['Message']


s3 = connect(os.environ['EC2_SECRET_KEY'])
bucket = os.environ['STORY']
parts_of = TransferConfig(multipart_threshold=6 << 20, multipart_chunksize=5 << 20, max_concurrency=4)
refused = story.Refusals(ClientError, parts_of_error)
story.client('boto3', boto3.__version__)


def read(key):
    return s3.get_object(Bucket=bucket, Key=key)['Body'].read()


refused('NoSuchBucket', s3.list_objects_v2, Bucket=bucket)
s3.create_bucket(Bucket=bucket)
assert bucket in [each['Name'] for each in s3.list_buckets()['Buckets']]
step('make bucket')
bits = os.urandom(20000000)
with tempfile.NamedTemporaryFile() as file:
    file.write(bits)
    file.flush()
    s3.upload_file(file.name, bucket, 'dir/large \u2603', Config=parts_of, ExtraArgs={'Metadata': {'origin': 'test'}})
    s3.download_file(bucket, 'dir/large \u2603', file.name + '.read', Config=parts_of)
    with open(file.name + '.read', 'rb') as copy:
        assert copy.read() == bits
    os.unlink(file.name + '.read')
head = s3.head_object(Bucket=bucket, Key='dir/large \u2603')
assert head['ContentLength'] == len(bits) and head['ETag'].endswith('-4"'), head
step('upload in parts')

s3.copy({'Bucket': bucket, 'Key': 'dir/large \u2603'}, bucket, 'copied in parts', Config=parts_of)
assert read('copied in parts') == bits
s3.copy_object(CopySource={'Bucket': bucket, 'Key': 'dir/large \u2603'}, Bucket=bucket, Key='copied')
copied = s3.head_object(Bucket=bucket, Key='copied')
assert copied['Metadata'] == {'origin': 'test'} and copied['ETag'] == '"%s"' % hashlib.md5(bits).hexdigest()
s3.copy_object(
    CopySource={'Bucket': bucket, 'Key': 'copied'},
    Bucket=bucket,
    Key='copied',
    MetadataDirective='REPLACE',
    Metadata={'new': 'yes'},
    ContentType='text/plain',
)
copied = s3.head_object(Bucket=bucket, Key='copied')
assert copied['Metadata'] == {'new': 'yes'} and copied['ContentType'] == 'text/plain'
refused('NoSuchKey', s3.copy_object, CopySource='%s/missing' % bucket, Bucket=bucket, Key='x')
refused('InvalidRequest', s3.copy_object, CopySource='%s/copied' % bucket, Bucket=bucket, Key='copied')
step('copy')

for algorithm in ('CRC32', 'SHA1', 'SHA256'):
    for body in (bits[:100000], io.BytesIO(bits[:100000])):
        put = s3.put_object(Bucket=bucket, Key='sum', Body=body, ChecksumAlgorithm=algorithm)
        assert put['Checksum%s' % algorithm], put
    assert read('sum') == bits[:100000]
refused('BadDigest', s3.put_object, Bucket=bucket, Key='sum', Body=b'x', ChecksumCRC32='AAAAAA==')
step('checksums')

started = s3.create_multipart_upload(Bucket=bucket, Key='abandoned', ChecksumAlgorithm='SHA256')
about = {'Bucket': bucket, 'Key': 'abandoned', 'UploadId': started['UploadId']}
numbers = []
for number, body in ((1, bits[: 5 << 20]), (2, b'last')):
    part = s3.upload_part(PartNumber=number, Body=body, ChecksumAlgorithm='SHA256', **about)
    numbers.append({'PartNumber': number, 'ETag': part['ETag'], 'ChecksumSHA256': part['ChecksumSHA256']})
pages = s3.get_paginator('list_parts').paginate(PaginationConfig={'PageSize': 1}, **about)
assert [part['Size'] for page in pages for part in page['Parts']] == [5 << 20, 4]
uploads = s3.get_paginator('list_multipart_uploads').paginate(Bucket=bucket)
assert [upload['Key'] for page in uploads for upload in page['Uploads']] == ['abandoned']
refused('InvalidPartOrder', s3.complete_multipart_upload, MultipartUpload={'Parts': numbers[::-1]}, **about)
refused(
    'InvalidPart',
    s3.complete_multipart_upload,
    MultipartUpload={'Parts': [dict(numbers[0], ChecksumSHA256=numbers[1]['ChecksumSHA256'])]},
    **about
)
s3.complete_multipart_upload(MultipartUpload={'Parts': numbers}, **about)
assert read('abandoned') == bits[: 5 << 20] + b'last'
refused('NoSuchUpload', s3.abort_multipart_upload, **about)
step('upload part by part')

ranged = s3.get_object(Bucket=bucket, Key='sum', Range='bytes=5-9')
assert s3.put_object(Bucket=bucket, Key='dir/small', Body=b'x')['ETag'] and read('dir/small') == b'x'
assert ranged['Body'].read() == bits[5:10] and ranged['ContentRange'] == 'bytes 5-9/100000', ranged
step('put and get')
listed = s3.list_objects_v2(Bucket=bucket, Delimiter='/')
assert [each['Prefix'] for each in listed['CommonPrefixes']] == ['dir/'], listed
assert [each['Key'] for each in s3.list_objects_v2(Bucket=bucket, Prefix='dir/s')['Contents']] == ['dir/small']
step('list, by prefix and delimiter')
refused('BucketNotEmpty', s3.delete_bucket, Bucket=bucket)
refused('SignatureDoesNotMatch', connect('wrong').list_buckets)

for page in s3.get_paginator('list_objects_v2').paginate(Bucket=bucket):
    s3.delete_objects(Bucket=bucket, Delete={'Objects': [{'Key': each['Key']} for each in page['Contents']]})
s3.delete_bucket(Bucket=bucket)
assert bucket not in [each['Name'] for each in s3.list_buckets()['Buckets']]
step('delete')
story.done()
