<?php
// The client that panels have had for ten years: one class, curl, http_build_query, json_decode.
class Api
{
    public $api_url;
    public $api_key;

    public function order($data)
    {
        return json_decode($this->connect(array_merge(array('key' => $this->api_key, 'action' => 'add'), $data)));
    }

    public function status($order_id)
    {
        return json_decode($this->connect(array('key' => $this->api_key, 'action' => 'status', 'order' => $order_id)));
    }

    public function multiStatus($order_ids)
    {
        return json_decode($this->connect(array('key' => $this->api_key, 'action' => 'status',
            'orders' => implode(",", (array)$order_ids))));
    }

    public function services()
    {
        return json_decode($this->connect(array('key' => $this->api_key, 'action' => 'services')));
    }

    public function refill($order_id)
    {
        return json_decode($this->connect(array('key' => $this->api_key, 'action' => 'refill', 'order' => $order_id)));
    }

    public function multiRefill($order_ids)
    {
        return json_decode($this->connect(array('key' => $this->api_key, 'action' => 'refill',
            'orders' => implode(',', $order_ids))), true);
    }

    public function refillStatus($refill_id)
    {
        return json_decode($this->connect(array('key' => $this->api_key, 'action' => 'refill_status',
            'refill' => $refill_id)));
    }

    public function cancel($order_ids)
    {
        return json_decode($this->connect(array('key' => $this->api_key, 'action' => 'cancel',
            'orders' => implode(',', $order_ids))), true);
    }

    public function balance()
    {
        return json_decode($this->connect(array('key' => $this->api_key, 'action' => 'balance')));
    }

    private function connect($post)
    {
        $ch = curl_init($this->api_url);
        curl_setopt($ch, CURLOPT_RETURNTRANSFER, 1);
        curl_setopt($ch, CURLOPT_POST, 1);
        curl_setopt($ch, CURLOPT_SSL_VERIFYPEER, 0);
        curl_setopt($ch, CURLOPT_SSL_VERIFYHOST, 0);
        curl_setopt($ch, CURLOPT_FOLLOWLOCATION, 1);
        curl_setopt($ch, CURLOPT_POSTFIELDS, http_build_query($post));
        curl_setopt($ch, CURLOPT_USERAGENT, 'Mozilla/4.0 (compatible; MSIE 5.01; Windows NT 5.0)');
        $result = curl_exec($ch);
        if (curl_errno($ch) != 0 && empty($result)) {
            $result = false;
        }
        return $result;
    }
}

$api = new Api();
$api->api_url = $argv[1];
$api->api_key = $argv[2];
$answers = array();
foreach (json_decode(stream_get_contents(STDIN), true) as $call) {
    $answers[] = $api->{$call[0]}(...$call[1]);
}
echo json_encode($answers);
