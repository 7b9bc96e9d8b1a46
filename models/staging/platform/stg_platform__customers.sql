{%- set fields = [
    'namespace', 'customer_id', 'email', 'phone', 'phones', 'email_consent', 'email_consent_at', 'sms_consent',
    'sms_consent_at', 'attributes', 'updated_at'
] -%}
{#- Whose record it is; one that does not say is its own. Said in place: not every engine lets windows have names. -#}
{%- set person = 'partition by namespace, customer_id, own_key' -%}

with customers as (

    select * from {{ ref('base_platform__customers') }}

),

parsed as (

    {{ json_documents('customers', 'payload', fields) | indent(4) }}

),

typed as (

    select
        {{ name_said('namespace') }} as namespace,
        {{ name_said('customer_id') }} as customer_id,
        {{ tidy_address(json_field('document', 'email')) }} as email,
        {{ json_field('document', 'phone') }} as phone,
        {{ json_field('document', 'phones') }} as phones,
        {{ typed(json_field('document', 'email_consent'), 'boolean') }} as email_consent_said,
        {{ try_timestamp(json_field('document', 'email_consent_at')) }} as email_consent_at,
        coalesce({{ typed(json_field('document', 'sms_consent'), 'boolean') }}, false) as sms_consent,
        {{ try_timestamp(json_field('document', 'sms_consent_at')) }} as sms_consent_at,
        {{ json_field('document', 'attributes') }} as attributes,
        {{ try_timestamp(json_field('document', 'updated_at')) }} as updated_at,
        landed_at,
        loaded_at,
        file_name,
        line_number,
        case
            when {{ name_said('namespace') }} is null or {{ name_said('customer_id') }} is null
                then {{ surrogate_key(['file_name', 'line_number', 'payload']) }}
        end as own_key
    from parsed
    where fault is null

),

ranked as (

    select
        *,
        max(
            case
                when email_consent_said and email_consent_at < {{ dbt.dateadd('day', 1, was_there_at()) }}
                    then email_consent_at
            end
        ) over ({{ person }}) as email_opted_in_at,
        row_number() over ({{ person }} order by updated_at desc, file_name desc, line_number desc) as version
    from typed

)

select
    namespace,
    customer_id,
    email,
    phone,
    phones,
    coalesce(email_consent_said, false) as email_consent,
    email_consent_at,
    email_opted_in_at,
    sms_consent,
    sms_consent_at,
    attributes,
    updated_at,
    loaded_at,
    file_name,
    line_number
from ranked
where version = 1
