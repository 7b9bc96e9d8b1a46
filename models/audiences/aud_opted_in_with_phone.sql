with members as (

    select * from {{ ref('audience_attributes') }}

)

select
    namespace,
    customer_id,
    is_unsubscribed
from members
where sms_consent and phone is not null
order by namespace, customer_id
