// SPDX-License-Identifier: MIT
pragma solidity ^0.8.30;

import {Constants} from "./Constants.sol";
import {Hashing} from "./Hashing.sol";
import {SafeCall} from "./SafeCall.sol";

/// @title CrossDomainMessenger
/// @notice The half of the message channel that both layers share. A message is relayed at most once with success;
///         one that fails stays recorded with its ETH here and may be replayed by anyone.
///         Invariant: the ETH held here is at least the sum of the values of failed, not yet replayed messages.
abstract contract CrossDomainMessenger {
    /// @dev The nonce says a message version that this messenger does not relay.
    error UnsupportedVersion(uint16 version);
    /// @dev The channel is paused.
    error MessengerPaused();
    /// @dev The ETH sent with the call is not the value of the message.
    error WrongValue(uint256 sent, uint256 expected);
    /// @dev Only the other messenger may bring a new message, and only once.
    error NotFromOtherMessenger(address caller);
    /// @dev The message came before and is waiting to be replayed.
    error AlreadyFailed(bytes32 messageHash);
    /// @dev The message was relayed with success before.
    error AlreadyRelayed(bytes32 messageHash);
    /// @dev A message must not call a contract that trusts this messenger's own calls.
    error UnsafeTarget(address target);
    /// @dev No message is being relayed.
    error NoMessageSender();
    /// @dev Raised for a gas estimate only: with this much gas the relay would be recorded as failed.
    error RelayWouldFail();

    /// @notice Version of the messages sent from here.
    uint16 public constant MESSAGE_VERSION = 1;
    /// @notice Gas the relay takes before it calls the target, whatever the message.
    uint64 public constant RELAY_CONSTANT_OVERHEAD = 200_000;
    /// @notice A call passes on 63/64 of the gas, so the minimum is raised by 64/63.
    uint64 public constant MIN_GAS_DYNAMIC_OVERHEAD_NUMERATOR = 64;
    uint64 public constant MIN_GAS_DYNAMIC_OVERHEAD_DENOMINATOR = 63;
    /// @notice Gas per byte of calldata.
    uint64 public constant MIN_GAS_CALLDATA_OVERHEAD = 16;
    /// @notice Gas per byte of calldata under the floor price of EIP-7623.
    uint64 public constant FLOOR_CALLDATA_OVERHEAD = 40;
    /// @notice Gas of the call to the target.
    uint64 public constant RELAY_CALL_OVERHEAD = 40_000;
    /// @notice Gas kept to record the outcome after the call.
    uint64 public constant RELAY_RESERVED_GAS = 40_000;
    /// @notice Gas between the check and the call.
    uint64 public constant RELAY_GAS_CHECK_BUFFER = 5_000;
    /// @notice Intrinsic gas of a transaction.
    uint64 public constant TX_BASE_GAS = 21_000;
    /// @notice Bytes that `relayMessage` adds around the message when it is encoded.
    uint64 public constant ENCODING_OVERHEAD = 260;

    /// @notice Messages relayed with success.
    mapping(bytes32 messageHash => bool) public successfulMessages;
    /// @notice Messages that failed at least once. Stays set after a replay succeeds.
    mapping(bytes32 messageHash => bool) public failedMessages;
    /// @dev Count of messages sent from here.
    uint240 internal _nonce;
    /// @dev Room for later versions.
    uint256[47] private __gap;

    /// @dev Sender of the message being relayed; zero outside. Cleared before the transaction ends, transient besides.
    address private transient _messageSender;

    event SentMessage(
        address indexed target, address sender, bytes message, uint256 messageNonce, uint256 gasLimit
    );
    /// @notice Follows each {SentMessage}: what that event, older than values, does not tell.
    event SentMessageExtension1(address indexed sender, uint256 value);
    event RelayedMessage(bytes32 indexed msgHash);
    event FailedRelayedMessage(bytes32 indexed msgHash);

    /// @notice Sends a message to `target` on the other layer, with the ETH of this call.
    /// @param minGasLimit Gas the call to `target` is sure to get.
    function sendMessage(address target, bytes calldata message, uint32 minGasLimit) external payable {
        uint256 nonce = messageNonce();
        unchecked {
            ++_nonce;
        }
        emit SentMessage(target, msg.sender, message, nonce, minGasLimit);
        emit SentMessageExtension1(msg.sender, msg.value);
        _send(
            baseGas(message, minGasLimit),
            msg.value,
            abi.encodeCall(this.relayMessage, (nonce, msg.sender, target, msg.value, minGasLimit, message))
        );
    }

    /// @notice Relays a message from the other layer: called by the channel the first time, by anyone after a failure.
    function relayMessage(
        uint256 nonce,
        address sender,
        address target,
        uint256 value,
        uint256 minGasLimit,
        bytes calldata message
    ) external payable {
        if (paused()) revert MessengerPaused();
        if (Hashing.nonceVersion(nonce) != MESSAGE_VERSION) revert UnsupportedVersion(Hashing.nonceVersion(nonce));
        bytes32 messageHash = Hashing.hashMessage(nonce, sender, target, value, minGasLimit, message);

        if (_isFromOtherMessenger()) {
            if (msg.value != value) revert WrongValue(msg.value, value);
            if (failedMessages[messageHash]) revert AlreadyFailed(messageHash);
        } else {
            // A replay takes the ETH that the first attempt left here.
            if (msg.value != 0) revert WrongValue(msg.value, 0);
            if (!failedMessages[messageHash]) revert NotFromOtherMessenger(msg.sender);
        }
        if (_isUnsafeTarget(target)) revert UnsafeTarget(target);
        if (successfulMessages[messageHash]) revert AlreadyRelayed(messageHash);

        // Copied before the gas is measured, so that the copy is not paid out of what the target was promised.
        bytes memory data = message;

        // A message that arrives while another runs is recorded as failed: its sender must not be mistaken for the
        // outer one. The same happens when the relayer gave too little gas; the message is never lost.
        if (
            _messageSender != address(0)
                || !SafeCall.hasMinGas(minGasLimit, RELAY_RESERVED_GAS + RELAY_GAS_CHECK_BUFFER)
        ) {
            _recordFailure(messageHash);
            return;
        }

        _messageSender = sender;
        bool success = SafeCall.callWithGas(target, gasleft() - RELAY_RESERVED_GAS, value, data);
        _messageSender = address(0);

        if (success) {
            successfulMessages[messageHash] = true;
            emit RelayedMessage(messageHash);
        } else {
            _recordFailure(messageHash);
        }
    }

    /// @notice Who sent the message being relayed. Reverts outside of a relay.
    function xDomainMessageSender() external view returns (address) {
        if (_messageSender == address(0)) revert NoMessageSender();
        return _messageSender;
    }

    /// @notice Nonce of the next message, with its version in the upper 16 bits.
    function messageNonce() public view returns (uint256) {
        return Hashing.versionedNonce(_nonce, MESSAGE_VERSION);
    }

    /// @notice Gas limit with which a message must be sent so that its target gets `minGasLimit`.
    function baseGas(bytes calldata message, uint32 minGasLimit) public pure returns (uint64) {
        uint64 execution = RELAY_CONSTANT_OVERHEAD + RELAY_CALL_OVERHEAD + RELAY_RESERVED_GAS + RELAY_GAS_CHECK_BUFFER
            + (uint64(minGasLimit) * MIN_GAS_DYNAMIC_OVERHEAD_NUMERATOR) / MIN_GAS_DYNAMIC_OVERHEAD_DENOMINATOR;
        uint64 size = uint64(message.length) + ENCODING_OVERHEAD;
        uint64 withCalldata = execution + size * MIN_GAS_CALLDATA_OVERHEAD;
        uint64 floor = size * FLOOR_CALLDATA_OVERHEAD;
        return TX_BASE_GAS + (withCalldata > floor ? withCalldata : floor);
    }

    /// @notice Address of the messenger on the other layer.
    function otherMessenger() public view virtual returns (address);

    /// @notice True while no message may be relayed here.
    function paused() public view virtual returns (bool);

    /// @dev Hands `data`, a call of {relayMessage}, to the channel below.
    function _send(uint64 gasLimit, uint256 value, bytes memory data) internal virtual;

    /// @dev True when the call comes through the channel from the other messenger.
    function _isFromOtherMessenger() internal view virtual returns (bool);

    /// @dev True for targets that trust calls from this contract.
    function _isUnsafeTarget(address target) internal view virtual returns (bool);

    function _recordFailure(bytes32 messageHash) private {
        failedMessages[messageHash] = true;
        emit FailedRelayedMessage(messageHash);
        if (tx.origin == Constants.ESTIMATION_ADDRESS) revert RelayWouldFail();
    }
}
